"""One's own data as a dataset: files and stores are read, placed on the host, written.

Nothing is computed, and nothing but the dataset is written.
"""

from __future__ import annotations

from hea_flows.results.importing.dataset import Imported, ImportSettings, import_dataset
from hea_flows.results.importing.runs import Refused, Run, read_sources
from hea_flows.results.importing.tasks import read_store

__all__ = [
    "ImportSettings",
    "Imported",
    "Refused",
    "Run",
    "import_dataset",
    "read_sources",
    "read_store",
]
