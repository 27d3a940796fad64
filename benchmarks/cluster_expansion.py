"""The cluster expansions of a study alone: what they are fitted to, and their errors.

    python benchmarks/cluster_expansion.py
    python benchmarks/cluster_expansion.py --campaign studies/learning-curve

Everything runs in this process; nothing is stored.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import CampaignMaker
from hea_flows.config import find_campaign_file, load_campaign
from hea_flows.jobs.learning.train import local_model
from hea_flows.potentials import family
from hea_flows.results.store import documents

FAMILY = "cluster-expansion"


def main() -> None:
    """Train the expansions of a campaign, compare them with its test sets, print the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaign", type=Path, default=Path("studies/pbe"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEA_FLOWS_DATA_DIR"] = folder
        campaign, text = load_campaign(find_campaign_file(given.campaign))
        models = [m for m in campaign.models if m.model is not None and m.model.family == FAMILY]
        chosen = campaign.model_copy(update={"models": models})
        store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
        flow = CampaignMaker.from_campaign(chosen).make(chosen, text)
        run_locally(flow, store=store, log=False, ensure_success=True)
        for training in documents(store, "training", campaign.name, load=True):
            expansion = family(FAMILY).load(local_model(training))
            cv = training.errors["validation"]
            per_unit = expansion.alloy.atoms_per_unit * cv.energy_mev
            print(
                f"{training.name}: {cv.n_frames} mixed structures, cutoffs {expansion.cutoffs}, "
                f"{len(expansion.parameters)} parameters, cross-validation {per_unit:.1f} meV/unit"
            )
        for bench in documents(store, "benchmark", campaign.name, load=True):
            for table in bench.tables:
                points = [p for p in bench.points(table.geometry) if p.test_set == table.test_set]
                mixed = [p for p in points if p.n_components > 1]
                off = np.array([p.model_mixing_mev - p.reference_mixing_mev for p in mixed])
                low, high = table.mixing_mae_interval_mev
                print(
                    f"{bench.name}, {table.test_set}, {table.geometry}: MAE "
                    f"{table.mixing_mae_mev:.1f} [{low:.1f}, {high:.1f}] meV/unit of {table.n}, "
                    f"mean error {off.mean():.1f}, standard deviation {off.std():.1f}"
                )
                for p, error in zip(mixed, off, strict=True):
                    print(f"  {p.formula}: {error:+.1f}")


if __name__ == "__main__":
    main()
