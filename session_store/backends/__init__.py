"""Where a store keeps its bytes: the contract, its values, and each backend."""
