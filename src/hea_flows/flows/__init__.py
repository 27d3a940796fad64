"""Wiring of jobs: what follows what; no arithmetic.

`CampaignMaker` is a whole campaign; the others are its parts, of use alone. `check_campaign` tells
what is wrong with a campaign file; the module `launch` puts a campaign on a launchpad.
"""

from __future__ import annotations

from hea_flows.flows.campaign import CampaignMaker
from hea_flows.flows.check import CampaignCheck, CampaignRefusedError, Finding, check_campaign
from hea_flows.flows.growth import GrowthDecisionMaker, GrowthMaker
from hea_flows.flows.growth_step import GrowthStepMaker
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.flows.learning import LearningMaker

__all__ = [
    "CampaignCheck",
    "CampaignMaker",
    "CampaignRefusedError",
    "Finding",
    "GrowthDecisionMaker",
    "GrowthMaker",
    "GrowthStepMaker",
    "LabellingMaker",
    "LearningMaker",
    "check_campaign",
    "launch",
]
