"""What keeps a store's bytes: the contract, and each backend."""
