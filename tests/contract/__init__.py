"""What every backend must do, on each of them; and what concurrent callers may rely on."""
