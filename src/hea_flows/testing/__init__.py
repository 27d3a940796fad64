"""Public checks for authors of model families and reference engines."""
