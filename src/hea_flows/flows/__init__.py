"""Wiring of jobs: what follows what; no arithmetic."""
