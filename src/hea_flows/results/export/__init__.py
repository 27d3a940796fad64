"""Files for other programs: datasets with their card, and chains for mchammer."""

from __future__ import annotations

from hea_flows.results.export.archive import write_archive
from hea_flows.results.export.chains import export_chains
from hea_flows.results.export.dataset import export_dataset

__all__ = ["export_chains", "export_dataset", "write_archive"]
