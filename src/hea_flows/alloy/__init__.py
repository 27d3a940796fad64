"""Physics of sublattice alloys, pure: numpy, scipy, ase, icet; no workflow, database or torch."""
