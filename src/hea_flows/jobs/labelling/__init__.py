"""Structures of a set, their labels, and what labels cost."""

from __future__ import annotations

from hea_flows.jobs.labelling.labels import LabelsMaker
from hea_flows.jobs.labelling.structures import StructuresMaker

__all__ = ["LabelsMaker", "StructuresMaker"]
