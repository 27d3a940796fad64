"""Every document that MongoDB holds, and the records they are made of."""

from __future__ import annotations

from hea_flows.schemas.documents import (
    BenchmarkDoc,
    BenchmarkTable,
    CampaignDoc,
    DatasetDoc,
    Document,
    FineTuneDoc,
    FrameRef,
    LabelDoc,
    MonteCarloDoc,
    ParityPoint,
    PhaseSet,
    ReportDoc,
    StructuresDoc,
    ThermodynamicsDoc,
)
from hea_flows.schemas.records import (
    AlloySpec,
    Epoch,
    ErrorSummary,
    LossWeights,
    ModelSpec,
    Record,
    StoredFile,
    StructureEntry,
    TrainingSettings,
    Trajectory,
)

__all__ = [
    "AlloySpec",
    "BenchmarkDoc",
    "BenchmarkTable",
    "CampaignDoc",
    "DatasetDoc",
    "Document",
    "Epoch",
    "ErrorSummary",
    "FineTuneDoc",
    "FrameRef",
    "LabelDoc",
    "LossWeights",
    "ModelSpec",
    "MonteCarloDoc",
    "ParityPoint",
    "PhaseSet",
    "Record",
    "ReportDoc",
    "StoredFile",
    "StructureEntry",
    "StructuresDoc",
    "ThermodynamicsDoc",
    "TrainingSettings",
    "Trajectory",
]
