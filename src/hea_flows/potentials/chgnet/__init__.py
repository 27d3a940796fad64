"""CHGNet."""

from __future__ import annotations

from hea_flows.potentials.chgnet.family import CHGNetFamily

__all__ = ["CHGNetFamily"]
