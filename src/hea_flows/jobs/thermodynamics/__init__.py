"""Decomposition free energies, random structures, vibrations and DEED with a trained model."""
