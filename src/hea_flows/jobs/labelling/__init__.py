"""Structures of a set, their labels, and what labels cost."""
