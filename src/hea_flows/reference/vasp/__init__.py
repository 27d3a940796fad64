"""VASP, with Materials Project's settings, through atomate2 and custodian."""

from __future__ import annotations

from hea_flows.reference.vasp.maker import VaspMaker

__all__ = ["VaspMaker"]
