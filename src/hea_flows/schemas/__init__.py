"""Every document that MongoDB holds, and the records they are made of."""

from __future__ import annotations

from hea_flows.schemas.blobs import Blob, UnreadableDocumentError, content_sha256, is_blob
from hea_flows.schemas.campaign import CampaignDoc, ReportDoc
from hea_flows.schemas.datasets import DatasetDoc, FrameRef, LabelledDoc, TestSetDoc
from hea_flows.schemas.documents import Document, describe_model, joined, kinds
from hea_flows.schemas.files import Measured, ModelSpec, Promised, StoredFile
from hea_flows.schemas.growth import (
    GrowthDoc,
    GrowthInputs,
    GrowthSources,
    GrowthStep,
    NextPoint,
    Stopped,
)
from hea_flows.schemas.labelling import LabelDoc, StructuresDoc
from hea_flows.schemas.learning import (
    BenchmarkDoc,
    BenchmarkTable,
    CommitteeDoc,
    CommitteeModelDoc,
    CommitteeTable,
    ForgettingTable,
    Geometry,
    ModelDoc,
    ParityPoint,
    Role,
    StabilityRow,
    TrainingDoc,
)
from hea_flows.schemas.phases import Interaction, PhaseCell, PhaseDiagramDoc
from hea_flows.schemas.record import Record
from hea_flows.schemas.sampling import ChainSeries, MonteCarloDoc, RelaxationSummary
from hea_flows.schemas.structures import (
    AlloySpec,
    HostFile,
    HostSpec,
    StructureEntry,
    Trajectory,
)
from hea_flows.schemas.thermodynamics import (
    ModelUncertainty,
    ReferencePhases,
    ThermodynamicsDoc,
    Vibrations,
)
from hea_flows.schemas.training import (
    AllWeights,
    Epoch,
    ErrorSummary,
    Frozen,
    LoRA,
    LossWeights,
    Method,
    Offsets,
    Replay,
    TrainingSettings,
)

__all__ = [
    "AllWeights",
    "AlloySpec",
    "BenchmarkDoc",
    "BenchmarkTable",
    "Blob",
    "CampaignDoc",
    "ChainSeries",
    "CommitteeDoc",
    "CommitteeModelDoc",
    "CommitteeTable",
    "DatasetDoc",
    "Document",
    "Epoch",
    "ErrorSummary",
    "ForgettingTable",
    "FrameRef",
    "Frozen",
    "Geometry",
    "GrowthDoc",
    "GrowthInputs",
    "GrowthSources",
    "GrowthStep",
    "HostFile",
    "HostSpec",
    "Interaction",
    "LabelDoc",
    "LabelledDoc",
    "LoRA",
    "LossWeights",
    "Measured",
    "Method",
    "ModelDoc",
    "ModelSpec",
    "ModelUncertainty",
    "MonteCarloDoc",
    "NextPoint",
    "Offsets",
    "ParityPoint",
    "PhaseCell",
    "PhaseDiagramDoc",
    "Promised",
    "Record",
    "ReferencePhases",
    "RelaxationSummary",
    "Replay",
    "ReportDoc",
    "Role",
    "StabilityRow",
    "Stopped",
    "StoredFile",
    "StructureEntry",
    "StructuresDoc",
    "TestSetDoc",
    "ThermodynamicsDoc",
    "TrainingDoc",
    "TrainingSettings",
    "Trajectory",
    "UnreadableDocumentError",
    "Vibrations",
    "content_sha256",
    "describe_model",
    "is_blob",
    "joined",
    "kinds",
]
