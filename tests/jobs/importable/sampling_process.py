"""A process that samples with a cheap energy and writes what it found: FOLDER PAUSE."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pair_energies import PairEnergies

from hea_flows.config import MonteCarloSpec
from hea_flows.jobs.sampling import run as sampling_run
from hea_flows.jobs.sampling.montecarlo import run_chains
from hea_flows.schemas import AlloySpec

ALLOY = AlloySpec(elements=("Mo", "Ta", "V"))


def sample(folder: Path, pause: float = 0.0, **changes: Any) -> dict[str, Any] | None:
    """Sample a small cell; the state is written as often as it can be."""
    given: dict[str, Any] = {
        "supercell": "6x6",
        "temperatures": [300, 500, 900],
        "runs": 2,
        "steps": 20,
        "burn_in": 12,
        "random": 4,
        "shells": [1, 2],
    }
    spec = MonteCarloSpec.model_validate(given | changes)
    host = ALLOY.to_alloy()
    energies = PairEnergies(host, spec.cell(host)[0], pause=pause)
    with patch.object(sampling_run, "EVERY", 0.0), patch.object(sampling_run, "RATIO", 0.0):
        return run_chains(energies, ALLOY, spec, 3, folder, "key")


if __name__ == "__main__":
    found = sample(Path(sys.argv[1]), float(sys.argv[2]))
    assert found is not None
    partial = Path(sys.argv[1]) / "series.partial"
    partial.write_bytes(found["series"].read())
    partial.replace(Path(sys.argv[1]) / "series")
