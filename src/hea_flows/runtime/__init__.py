"""What running on a machine needs: whole files, locks, time limits, frame files."""
