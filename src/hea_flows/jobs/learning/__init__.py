"""Datasets, test sets, training, benchmarks and committees."""
