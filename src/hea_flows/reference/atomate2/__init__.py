"""Any Maker of atomate2, or in its manner, as a reference engine: force fields, VASP, CP2K."""

from __future__ import annotations

from hea_flows.reference.atomate2.maker import Atomate2Maker

__all__ = ["Atomate2Maker"]
