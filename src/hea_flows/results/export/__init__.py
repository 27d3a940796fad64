"""Datasets, archives and chains as files that other programs read."""
