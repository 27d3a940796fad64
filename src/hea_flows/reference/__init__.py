"""What labels structures: VASP, GPAW, datasets, a potential in place of DFT; `ReferenceMaker`.

An engine loads its code when it computes: importing this package imports none of them.
"""

from __future__ import annotations

from hea_flows.alloy.sets import find_card
from hea_flows.reference.archive import (
    ArchiveMaker,
    DatasetCard,
    DatasetTerms,
    ExtraFrames,
    extra_frames,
    load_dataset,
    read_card,
)
from hea_flows.reference.base import (
    ReferenceMaker,
    label_job,
    reference_engine,
    reference_engines,
    start_atoms,
)
from hea_flows.reference.cost import LabelCost
from hea_flows.reference.document import Calculation, MissingLabelError, Outcome, label_document
from hea_flows.reference.evaluation import evaluate, labelled
from hea_flows.reference.synthetic import SyntheticMaker

__all__ = [
    "ArchiveMaker",
    "Calculation",
    "DatasetCard",
    "DatasetTerms",
    "ExtraFrames",
    "LabelCost",
    "MissingLabelError",
    "Outcome",
    "ReferenceMaker",
    "SyntheticMaker",
    "evaluate",
    "extra_frames",
    "find_card",
    "label_document",
    "label_job",
    "labelled",
    "load_dataset",
    "read_card",
    "reference_engine",
    "reference_engines",
    "start_atoms",
]
