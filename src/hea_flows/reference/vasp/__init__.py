"""VASP, with Materials Project's settings, through atomate2 and custodian."""
