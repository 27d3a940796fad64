"""hea-flows: from one YAML file to fine-tuned potentials and phase stability of alloys.

These are the names that scripts and other packages use. Each is loaded when it is first used:
importing the package imports neither torch nor jobflow.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

__version__ = version("hea-flows")

__all__ = [
    "Alloy",
    "BenchmarkMaker",
    "Campaign",
    "CampaignMaker",
    "DatasetMaker",
    "Family",
    "LabellingMaker",
    "LabelsMaker",
    "ModelSpec",
    "MonteCarloMaker",
    "Ordering",
    "ReferenceMaker",
    "ReportMaker",
    "StructuresMaker",
    "TestSetMaker",
    "ThermodynamicsMaker",
    "TrainMaker",
    "__version__",
    "documents",
    "find_connection",
    "load_calculator",
    "load_campaign",
    "register_family",
    "register_reference_engine",
]

if TYPE_CHECKING:
    from hea_flows.alloy.lattice import Alloy, Ordering
    from hea_flows.config import Campaign, load_campaign
    from hea_flows.flows import CampaignMaker, LabellingMaker
    from hea_flows.jobs.labelling import LabelsMaker, StructuresMaker
    from hea_flows.jobs.learning import BenchmarkMaker, DatasetMaker, TestSetMaker, TrainMaker
    from hea_flows.jobs.report import ReportMaker
    from hea_flows.jobs.sampling import MonteCarloMaker
    from hea_flows.jobs.thermodynamics import ThermodynamicsMaker
    from hea_flows.plugins import register_family, register_reference_engine
    from hea_flows.potentials import Family, load_calculator
    from hea_flows.reference import ReferenceMaker
    from hea_flows.results.store import documents
    from hea_flows.schemas import ModelSpec
    from hea_flows.services import find_connection
else:
    #: The room of each name: what the imports above say to type checkers.
    _ROOMS = {
        "Alloy": "alloy.lattice",
        "BenchmarkMaker": "jobs.learning",
        "Campaign": "config",
        "CampaignMaker": "flows",
        "DatasetMaker": "jobs.learning",
        "Family": "potentials",
        "LabellingMaker": "flows",
        "LabelsMaker": "jobs.labelling",
        "ModelSpec": "schemas",
        "MonteCarloMaker": "jobs.sampling",
        "Ordering": "alloy.lattice",
        "ReferenceMaker": "reference",
        "ReportMaker": "jobs.report",
        "StructuresMaker": "jobs.labelling",
        "TestSetMaker": "jobs.learning",
        "ThermodynamicsMaker": "jobs.thermodynamics",
        "TrainMaker": "jobs.learning",
        "documents": "results.store",
        "find_connection": "services",
        "load_calculator": "potentials",
        "load_campaign": "config",
        "register_family": "plugins",
        "register_reference_engine": "plugins",
    }

    def __getattr__(name: str) -> object:
        if name not in _ROOMS:
            msg = f"module 'hea_flows' has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(f"hea_flows.{_ROOMS[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
