"""CHGNet."""
