"""Wiring of jobs: what follows what; no arithmetic."""

from __future__ import annotations

from hea_flows.flows.campaign import CampaignMaker
from hea_flows.flows.labelling import LabellingMaker

__all__ = ["CampaignMaker", "LabellingMaker"]
