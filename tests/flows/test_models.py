"""Committees and foundations as the models that Monte Carlo and thermodynamics use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobflow import Flow, JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows.config import load_campaign
from hea_flows.flows import CampaignMaker
from hea_flows.results.store import documents
from hea_flows.runtime.extxyz import write_frames
from hea_flows.schemas import BenchmarkDoc, MonteCarloDoc
from hea_flows.testing.families import labelled_frames

pytest.importorskip("chgnet")

HEAD = """\
name: models
seed: 3
alloy: {elements: [Mo, Ta]}
labels: {engine: synthetic, options: {model: "chgnet:0.2.0", calculation: static}}
test_sets: {Binaries: "1(1)+2(2)"}
benchmark: {relaxed: false}
training: {epochs: 1, batch_size: 2}
"""
MEMBERS = """\
  - {name: A, model: "chgnet:0.3.0", set: "1(1)", seeds: [1, 2]}
  - {name: B, model: chgnet, set: "1(1)+2(2)"}
"""
CHAINS = "monte_carlo: {%ssupercell: 2x1, temperatures: [900], steps: 8, burn_in: 2, random: 4}\n"


def flow_of(tmp_path: Path, text: str, head: str = HEAD) -> Flow:
    path = tmp_path / "models.yaml"
    path.write_text(head + text)
    campaign, text = load_campaign(path)
    return CampaignMaker.from_campaign(campaign).make(campaign, text)


def jobs_of(flow: Flow) -> dict[str, Any]:
    return {job.name: job for job, _ in flow.iterflow()}


def test_chains_of_a_committee(tmp_path: Path) -> None:
    """They take its document, the lattice of its first member, and workers for all members."""
    flow = flow_of(
        tmp_path,
        f"models:\n{MEMBERS}  - {{name: C, model: {{committee: [A, B]}}}}\n"
        + CHAINS % "model: C, ",
    )
    jobs = jobs_of(flow)
    chains, committee = jobs["monte carlo"], jobs["committee model C"]
    assert committee.uuid in chains.input_uuids
    assert chains.config.manager_config["_category"] == "committee"
    assert jobs["benchmark C"].config.manager_config["_category"] == "committee"
    members = [job.uuid for job, _ in flow.iterflow() if job.name.startswith("fine-tune")]
    assert len(members) == 3
    assert set(members) <= set(committee.input_uuids)
    assert len(jobs["committee C"].input_uuids) == 3  # whose spread is judged


def test_fitted_weights_take_the_dataset_of_all(tmp_path: Path) -> None:
    text = """\
models:
  - {name: A, model: "chgnet:0.3.0", set: "1(1)+2(2)", seeds: [1, 2]}
  - {name: C, committee: [A], weights: fitted}
"""
    jobs = jobs_of(flow_of(tmp_path, text))
    [dataset] = [job for name, job in jobs.items() if name.startswith("dataset")]
    assert dataset.uuid in jobs["committee model C"].input_uuids


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (
            "  - {name: C, model: {committee: [A, X]}}\n",
            "model 'C': no model 'X' is trained; accepted as members: A, B",
        ),
        ("  - {name: C, committee: [B]}\n", "the committee 'C' has one member, B; name another"),
        (
            "  - {name: C, committee: [A, B], weights: fitted}\n",
            "the members of 'C' are trained on different sets",
        ),
        (
            "  - {name: C, committee: [A, B], seeds: [1]}\n",
            "model 'C' is a committee: leave out set, labels, training and seeds",
        ),
        ("  - {name: C, set: 1(1), weights: fitted}\n", "weights are those of a committee"),
    ],
)
def test_refused(tmp_path: Path, models: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        flow_of(tmp_path, f"models:\n{MEMBERS}{models}")
    assert message in str(refused.value)


def test_members_have_forces(tmp_path: Path) -> None:
    expansion = "  - {name: E, model: cluster-expansion, set: 1(1)+2(2)}\n"
    text = f"models:\n{MEMBERS}{expansion}  - {{name: C, committee: [A, E]}}\n"
    with pytest.raises(ValueError, match="model 'C': E has no forces, so it is no member"):
        flow_of(tmp_path, text)


def test_only_models_of_the_campaign_are_used(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as refused:
        flow_of(tmp_path, f"models:\n{MEMBERS}" + CHAINS % "model: X, ")
    assert "there is no model 'X'; models of this campaign: A, B" in str(refused.value)


def test_chains_of_any_calculator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A foundation as it is, by its own calculator, gives the chains of its family."""
    monkeypatch.setenv("HEA_FLOWS_DATA_DIR", str(tmp_path / "data"))
    both = """\
models:
  - name: Theirs
    model: {family: ase, callable: "chgnet.model.dynamics:CHGNetCalculator"}
  - {name: Ours, model: "chgnet:0.3.0"}
"""
    frames = labelled_frames(3)
    write_frames(tmp_path / "elsewhere.extxyz", frames)
    beyond = (
        "{relaxed: false, forgetting: elsewhere.extxyz, stability: "
        "{temperatures: [300], picoseconds: 0.01, min_length: 3}}"
    )
    head = HEAD.replace("{relaxed: false}", beyond)
    found = {}
    for name in ("Theirs", "Ours"):
        store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
        flow = flow_of(tmp_path, both + CHAINS % f"model: {name}, ", head)
        run_locally(flow, store=store, ensure_success=True, log=False)
        [found[name]] = documents(store, MonteCarloDoc, load=True)
        benchmarks = {d.name: d for d in documents(store, BenchmarkDoc)}
        assert set(benchmarks) == {"Theirs", "Ours"}
        one, other = (b.tables[0].mixing_mae_mev for b in benchmarks.values())
        assert one == pytest.approx(other, abs=0.1)
        for document in benchmarks.values():
            assert document.forgetting is not None
            assert (document.forgetting.n_frames, document.forgetting.offsets_fitted) == (3, False)
            [row] = document.stability
            assert (row.picoseconds, row.reason) == (0.01, "")
    theirs, ours = found["Theirs"], found["Ours"]
    assert theirs.model.title == "ase-CHGNetCalculator"
    assert theirs.lattice_constant == ours.lattice_constant
    assert theirs.random_mev == pytest.approx(ours.random_mev, abs=0.1)
    np.testing.assert_allclose(
        [list(theirs.end_points.values())], [list(ours.end_points.values())], atol=1e-4
    )
