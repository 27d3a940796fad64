"""What a campaign file says: the science of a campaign, and nothing of the machine."""

from __future__ import annotations

from hea_flows.config.campaign import Campaign, load_campaign, text_sha256
from hea_flows.config.costs import check_sets
from hea_flows.config.errors import validation_line
from hea_flows.config.plan import (
    CampaignPlan,
    GrowthPlan,
    ModelPlan,
    SetPlan,
    TestSetPlan,
    plan_campaign,
)
from hea_flows.config.sections import (
    BenchmarkSpec,
    DatasetSpec,
    GrowthSpec,
    LabelSpec,
    ModelEntry,
    MonteCarloSpec,
    SetSpec,
    StartSpec,
    TestSetSpec,
    ThermodynamicsSpec,
    VibrationsSpec,
    model_from_text,
)

__all__ = [
    "BenchmarkSpec",
    "Campaign",
    "CampaignPlan",
    "DatasetSpec",
    "GrowthPlan",
    "GrowthSpec",
    "LabelSpec",
    "ModelEntry",
    "ModelPlan",
    "MonteCarloSpec",
    "SetPlan",
    "SetSpec",
    "StartSpec",
    "TestSetPlan",
    "TestSetSpec",
    "ThermodynamicsSpec",
    "VibrationsSpec",
    "check_sets",
    "load_campaign",
    "model_from_text",
    "plan_campaign",
    "text_sha256",
    "validation_line",
]
