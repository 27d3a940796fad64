"""Structures of a set, their labels, and what labels cost.

Modules: `collect` chooses the labels of a dataset, `estimate` and `next_cost` say what labels cost.
"""

from __future__ import annotations

from hea_flows.jobs.labelling.labels import LabelsMaker, StartMaker, fan_out
from hea_flows.jobs.labelling.structures import StructuresMaker

__all__ = [
    "LabelsMaker",
    "StartMaker",
    "StructuresMaker",
    "collect",
    "estimate",
    "fan_out",
    "next_cost",
]
