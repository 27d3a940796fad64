"""One trainer for all torch potentials: data, loss, schedule, methods.

This front loads no torch; `trainer`, `data` and `loss` do.
"""

from __future__ import annotations

from hea_flows.potentials.training import methods
from hea_flows.potentials.training.labels import with_energies

__all__ = ["methods", "with_energies"]
