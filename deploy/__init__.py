"""What runs in containers beside the programs themselves."""
