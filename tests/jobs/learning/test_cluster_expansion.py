"""A campaign whose model is a cluster expansion, on the shipped labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

pytest.importorskip("torch")

from hea_flows import CampaignMaker
from hea_flows.config import Campaign
from hea_flows.jobs.estimate import estimate_parts
from hea_flows.jobs.learning.train import local_model
from hea_flows.potentials import family
from hea_flows.results.figures import learning_curve
from hea_flows.results.report.learning_tables import benchmark_table, training_table
from hea_flows.results.store import CampaignDocuments, documents

CAMPAIGN: dict[str, Any] = {
    "name": "clusters",
    "seed": 23,
    "alloy": {"elements": ["Mo", "Ta", "Nb", "W"]},
    "labels": {"engine": "archive", "options": {"calculation": "either"}},
    "training": {"epochs": 40, "method": "lora", "final_weights": {"energy": 2000}},
    "models": [{"name": "CE", "set": "1(1)+2(2)+3(3)", "model": "cluster-expansion"}],
    "test_sets": {"Binaries": "2(2)", "Unseen": "2(3)[Mo,Ta]"},
    "monte_carlo": {
        "supercell": "4x4",
        "temperatures": [300, 900],
        "runs": 1,
        "steps": 20,
        "burn_in": 4,
        "random": 4,
        "mode": "relaxed",
    },
    "thermodynamics": {
        "sqs": {2: "2x1", 3: "3x1", 4: "2x2"},
        "sqs_steps": 50,
        "random_supercell": "4x2",
        "n_random": 4,
        "mode": "relaxed",
    },
}


def test_an_expansion_goes_through_a_whole_campaign(machine: Path) -> None:
    campaign = Campaign.model_validate(CAMPAIGN)
    assert {p.seconds for p in estimate_parts(campaign)} == {None}
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    flow = CampaignMaker.from_campaign(campaign).make(campaign, "text")
    run_locally(flow, store=store, log=False, ensure_success=True)
    found = {
        kind: documents(store, kind, "clusters", load=True)
        for kind in ("dataset", "test_set", "training", "benchmark", "montecarlo", "thermodynamics")
    }
    [training], [bench], [thermo] = (found[k] for k in ("training", "benchmark", "thermodynamics"))
    model = local_model(training)
    # The relaxations of the six pairs converged; those of ternaries stopped, others are shifted.
    assert training.errors["train"].n_frames == 6
    assert training.parent is None
    assert training.settings.epochs == 40
    assert sum(training.offsets.values()) != 0

    tables = {(t.test_set, t.geometry): t for t in bench.tables}
    assert set(tables) == {
        ("Binaries", "fixed"), ("Binaries", "relaxed"), ("Unseen", "fixed"),
    }  # fmt: skip
    assert tables["Binaries", "fixed"].mixing_mae_mev < 1e-4  # six pairs, of six binaries
    assert tables["Binaries", "relaxed"].n_failed == 0
    fixed, relaxed = (
        [(p.structure_id, p.model_mixing_mev) for p in points if p.test_set == "Binaries"]
        for points in (bench.fixed, bench.relaxed)
    )
    assert fixed == relaxed
    unseen = next(d for d in found["test_set"] if d.name == "Unseen")
    for point in bench.fixed:
        if point.test_set == "Unseen":
            ordering = unseen.structures[point.structure_id].to_ordering(unseen.alloy.to_alloy())
            atoms = [ordering.to_atoms()] + [
                unseen.trajectories[k].to_frames()[-1] for k in unseen.end_points.values()
            ]
            energy, *ends = (p.energy for p in family(model.family).evaluate(model, atoms))
            pure = dict(zip(unseen.end_points, ends, strict=True))
            mixing = energy - sum(pure[s] for s in ordering.species)
            own = 1e3 * mixing / ordering.n_sites
            assert point.model_mixing_mev == pytest.approx(own, abs=1e-6)
    new = tables["Unseen", "fixed"].new_frames
    assert np.isfinite(new.energy_mev)
    assert np.isnan([new.forces_mev, new.stress]).all()

    assert len(thermo.random_mixing_mev) == 4
    assert not thermo.failed
    [chains] = found["montecarlo"]
    assert chains.forbidden == 0
    assert chains.mode == "relaxed"

    everything = CampaignDocuments(
        trainings=[training], benchmarks=[bench], thermodynamics=[thermo], montecarlo=[chains]
    )
    cells = training_table(everything).rows[0]
    assert cells.count("–") == 2
    assert all("nan" not in cell for row in benchmark_table(everything).rows for cell in row)
    learning_curve([training])
