"""SevenNet: training, and files of its own program."""

from __future__ import annotations

from hea_flows.potentials.sevennet.family import SevenNetFamily

__all__ = ["SevenNetFamily"]
