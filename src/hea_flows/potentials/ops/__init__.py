"""Torch operations that several families share."""
