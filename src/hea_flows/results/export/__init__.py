"""Files for other programs: datasets, models, chains for mchammer, thermodynamic databases."""

from __future__ import annotations

from hea_flows.results.export.archive import write_archive
from hea_flows.results.export.chains import export_chains
from hea_flows.results.export.dataset import export_dataset
from hea_flows.results.export.model import choose_model, curve_csv, export_model
from hea_flows.results.export.tdb import joined_solution, thermodynamic_database

__all__ = [
    "choose_model",
    "curve_csv",
    "export_chains",
    "export_dataset",
    "export_model",
    "joined_solution",
    "thermodynamic_database",
    "write_archive",
]
