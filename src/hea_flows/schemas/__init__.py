"""Every document that MongoDB holds, and the records they are made of."""

from __future__ import annotations

from hea_flows.schemas.documents import (
    BenchmarkDoc,
    BenchmarkTable,
    CampaignDoc,
    CommitteeDoc,
    CommitteeTable,
    DatasetDoc,
    Document,
    FrameRef,
    LabelDoc,
    ParityPoint,
    ReportDoc,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
    TrainingDoc,
)
from hea_flows.schemas.growth import (
    GrowthDoc,
    GrowthInputs,
    GrowthSources,
    GrowthStep,
    NextPoint,
)
from hea_flows.schemas.methods import AllWeights, Frozen, LoRA, Method, Offsets, Replay
from hea_flows.schemas.record import Record
from hea_flows.schemas.records import (
    AlloySpec,
    Epoch,
    ErrorSummary,
    LossWeights,
    ModelSpec,
    StoredFile,
    StructureEntry,
    TrainingSettings,
    Trajectory,
)
from hea_flows.schemas.sampling import ChainSeries, MonteCarloDoc
from hea_flows.schemas.thermodynamics import ModelUncertainty, ReferencePhases, Vibrations

__all__ = [
    "AllWeights",
    "AlloySpec",
    "BenchmarkDoc",
    "BenchmarkTable",
    "CampaignDoc",
    "ChainSeries",
    "CommitteeDoc",
    "CommitteeTable",
    "DatasetDoc",
    "Document",
    "Epoch",
    "ErrorSummary",
    "FrameRef",
    "Frozen",
    "GrowthDoc",
    "GrowthInputs",
    "GrowthSources",
    "GrowthStep",
    "LabelDoc",
    "LoRA",
    "LossWeights",
    "Method",
    "ModelSpec",
    "ModelUncertainty",
    "MonteCarloDoc",
    "NextPoint",
    "Offsets",
    "ParityPoint",
    "Record",
    "ReferencePhases",
    "Replay",
    "ReportDoc",
    "StoredFile",
    "StructureEntry",
    "StructuresDoc",
    "TestSetDoc",
    "ThermodynamicsDoc",
    "TrainingDoc",
    "TrainingSettings",
    "Trajectory",
    "Vibrations",
]
