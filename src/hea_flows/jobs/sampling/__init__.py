"""Monte Carlo with a trained model, and the documents that sum it up."""
