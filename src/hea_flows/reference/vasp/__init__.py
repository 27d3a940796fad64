"""VASP, with Materials Project's settings, through atomate2 and custodian.

The module `validation` tells what a machine lacks and what Materials Project would object to.
"""

from __future__ import annotations

from hea_flows.reference.vasp.maker import VaspMaker

__all__ = ["VaspMaker", "validation"]
