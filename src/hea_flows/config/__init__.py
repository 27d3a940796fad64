"""What a campaign file says: the science of a campaign, and nothing of the machine."""

from __future__ import annotations

from hea_flows.config.campaign import Campaign, load_campaign, text_sha256
from hea_flows.config.plan import GrowthPlan, Plan, Training, plan
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
    "DatasetSpec",
    "GrowthPlan",
    "GrowthSpec",
    "LabelSpec",
    "ModelEntry",
    "MonteCarloSpec",
    "Plan",
    "SetSpec",
    "StartSpec",
    "TestSetSpec",
    "ThermodynamicsSpec",
    "Training",
    "VibrationsSpec",
    "load_campaign",
    "model_from_text",
    "plan",
    "text_sha256",
]
