"""One trainer for all torch potentials: data, loss, schedule, methods.

This front loads no torch; the module `trainer` does.
"""

from __future__ import annotations

from hea_flows.potentials.training import methods
from hea_flows.potentials.training.labels import with_energies
from hea_flows.potentials.training.methods import replay_frames
from hea_flows.potentials.training.scaling import scaling
from hea_flows.potentials.training.schedule import with_defaults

__all__ = ["methods", "replay_frames", "scaling", "trainer", "with_defaults", "with_energies"]
