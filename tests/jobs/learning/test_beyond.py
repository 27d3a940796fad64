"""What a benchmark asks beyond the alloy: errors that are known, and dynamics of a crystal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from stored_campaign import campaign_documents

from hea_flows.config import Campaign, StabilitySpec
from hea_flows.jobs.learning.beyond import forgetting, stability
from hea_flows.results.report import forgetting_table, stability_table
from hea_flows.results.store import CampaignDocuments
from hea_flows.runtime.extxyz import write_frames
from hea_flows.schemas import ModelSpec

EMT_MODEL = ModelSpec(family="ase", callable="ase.calculators.emt:EMT")
ZERO = {"Cu": 3.0, "Au": -2.0, "Ag": 7.0, "W": 0.0}


def labelled(symbol: str, seed: int, wrong: float = 0.0, push: float = 0.0) -> Atoms:
    """Return a rattled crystal whose label is EMT's, on another zero and wrong by so much."""
    atoms = bulk(symbol, "fcc", a=3.9, cubic=True)
    atoms.rattle(0.05, seed=seed)
    if symbol == "W":  # EMT does not know it
        energy, forces = 0.0, np.zeros((len(atoms), 3))
    else:
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces() + push
    energy += len(atoms) * (ZERO[symbol] + wrong)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def test_errors_after_offsets(tmp_path: Path) -> None:
    path = tmp_path / "frames.extxyz"
    frames = [labelled(s, k) for s in ("Cu", "Au", "Ag") for k in range(3)]
    write_frames(path, frames)
    right = forgetting(EMT_MODEL, str(path), fit_offsets=True)
    assert (right.n_frames, right.n_left_out, right.file) == (9, 0, "frames.extxyz")
    assert right.energy_mev == pytest.approx(0, abs=1e-6)
    assert right.forces_mev == pytest.approx(0, abs=1e-6)
    # Of three copper frames one is wrong by 30 meV/atom: offsets take 10, and 20, 10, 10 are left.
    frames[0] = labelled("Cu", 0, wrong=0.03, push=0.009)
    write_frames(path, [*frames, labelled("W", 1)])
    wrong = forgetting(EMT_MODEL, str(path), fit_offsets=True)
    assert (wrong.n_frames, wrong.n_left_out) == (9, 1)
    assert wrong.energy_mev == pytest.approx((20 + 10 + 10) / 9)
    assert wrong.forces_mev == pytest.approx(9 / 9)
    # The foundation's own zero: every label is off by the 3, 2 or 7 eV/atom of its element.
    plain = forgetting(EMT_MODEL, str(path), fit_offsets=False)
    assert plain.energy_mev == pytest.approx(1e3 * (3.0 * 3 + 0.03 + 2.0 * 3 + 7.0 * 3) / 9)
    write_frames(path, [labelled("W", 1)])
    with pytest.raises(ValueError, match="the model ase-EMT can evaluate none of its 1 frames"):
        forgetting(EMT_MODEL, str(path), fit_offsets=True)


def test_dynamics_of_the_richest_structure() -> None:
    documents = CampaignDocuments.from_documents(campaign_documents())
    test_set = documents.test_sets[0] if documents.test_sets else None
    if test_set is None:
        pytest.skip("no test set among the documents")
    model = ModelSpec(
        family="ase",
        callable="ase.calculators.lj:LennardJones",
        kwargs={"sigma": 2.2, "epsilon": 0.3, "rc": 4.0, "smooth": True},
    )
    spec = StabilitySpec(temperatures=[300], picoseconds=0.02, min_length=3)
    [row] = stability(model, test_set, spec, 1)
    most = max(len(e.counts) for e in test_set.structures.values())
    assert len(test_set.structures[row.structure_id].counts) == most
    assert stability(model, test_set, spec, 1) == [row]


def test_tables() -> None:
    documents = CampaignDocuments.from_documents(campaign_documents())
    assert forgetting_table(documents).rows == []
    assert stability_table(documents).rows == []


def test_said_in_a_campaign_file() -> None:
    fields = {
        "name": "a",
        "alloy": {"elements": ["Mo", "W"]},
        "structures": [{"set": "1(1)"}],
        "benchmark": {"stability": {}, "forgetting": "frames.extxyz"},
    }
    campaign = Campaign.model_validate(fields)
    assert campaign.benchmark.stability is not None
    assert campaign.benchmark.stability.temperatures == [300.0, 1000.0]
