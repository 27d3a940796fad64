"""What a campaign file says: the science of a campaign, and nothing of the machine."""

from __future__ import annotations

from hea_flows.config.campaign import (
    Campaign,
    campaign_sha256,
    find_campaign_file,
    load_campaign,
    orderings_of,
    read_campaign,
    text_sha256,
)
from hea_flows.config.costs import check_sets, rounded_compositions
from hea_flows.config.errors import validation_line, validation_lines
from hea_flows.config.phase_diagram import PhaseDiagramSpec
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
    StabilitySpec,
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
    "PhaseDiagramSpec",
    "SetPlan",
    "SetSpec",
    "StabilitySpec",
    "StartSpec",
    "TestSetPlan",
    "TestSetSpec",
    "ThermodynamicsSpec",
    "VibrationsSpec",
    "campaign_sha256",
    "check_sets",
    "find_campaign_file",
    "load_campaign",
    "model_from_text",
    "orderings_of",
    "plan_campaign",
    "read_campaign",
    "rounded_compositions",
    "text_sha256",
    "validation_line",
    "validation_lines",
]
