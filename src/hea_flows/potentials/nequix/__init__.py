"""Nequix, read into a torch module of our own."""
