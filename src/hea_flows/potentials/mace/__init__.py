"""MACE: foundations, fine-tuning methods, models from scratch."""
