"""GPAW, the open-source plane-wave PBE engine."""
