"""The whole campaign, through FireWorks workers in their own processes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pymongo
import pytest
from ase.units import kB
from command import cli

from hea_flows.config import load_campaign
from hea_flows.flows import launch
from hea_flows.results.store import documents, trace
from hea_flows.schemas import ChainSeries
from hea_flows.services.connection import Connection
from hea_flows.services.progress import campaign_progress

pytestmark = pytest.mark.slow


def test_a_killed_campaign_goes_on_and_leads_back_to_its_file(
    connection: Connection, campaign_file: Path, tmp_path: Path
) -> None:
    campaign, text = load_campaign(campaign_file)
    submission = launch.submit(campaign, text, connection)
    assert not submission.existing
    launchpad = connection.launchpad()

    # Kill the worker in the middle of the training, and everything that runs it.
    command = [sys.executable, "-m", "hea_flows", "worker"]
    environment = {**os.environ, **connection.environment()}
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    end = time.monotonic() + 600
    while not any(
        j.name.startswith("fine-tune")
        for j in campaign_progress(launchpad, submission.fw_id).running
    ):
        assert worker.poll() is None, (tmp_path / "worker.log").read_text()[-3000:]
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(1)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    finished = {
        f["fw_id"]: f["launches"]
        for f in launchpad.fireworks.find({"state": "COMPLETED"}, {"fw_id": 1, "launches": 1})
    }
    assert len(finished) > 15

    # The same command again: it finds the campaign, and computes nothing twice.
    report = tmp_path / "report.html"
    output = cli(connection, "run", str(campaign_file), "--report", str(report))
    assert "is on the launchpad already, going on" in output
    assert "</html>" in report.read_text()
    for firework in launchpad.fireworks.find({}, {"fw_id": 1, "launches": 1, "state": 1}):
        assert firework["state"] == "COMPLETED"
        if firework["fw_id"] in finished:
            assert firework["launches"] == finished[firework["fw_id"]]
        completed = {"fw_id": firework["fw_id"], "state": "COMPLETED"}
        assert launchpad.launches.count_documents(completed) == 1

    _check_documents(connection, campaign_file)
    _check_provenance(connection, campaign_file)
    _check_queries(connection, output)


def _store(connection: Connection) -> Any:
    store = connection.job_store()
    store.connect()
    return store


def _check_documents(connection: Connection, campaign_file: Path) -> None:
    store = _store(connection)
    [dataset] = documents(store, "dataset", "small", load=True)
    assert dataset.n_structures == 10
    test_sets = {d.name: d for d in documents(store, "test_set", "small")}
    assert set(test_sets) == {"held-out", "training", "SQS"}
    held_out = test_sets["held-out"]
    # 6 pairs of 8 enumerated cells of four: none has a label, and every miss is told.
    misses = [reason for reason in held_out.excluded.values() if "has no relax label" in reason]
    assert len(misses) == 48
    assert len(dataset.frames) == sum(len(t.energies) for t in dataset.trajectories.values())
    [tuned] = documents(store, "training", "small", load=True)
    assert hashlib.sha256(tuned.model_file.read()).hexdigest() == tuned.model.sha256
    assert [e.epoch for e in tuned.curve] == [1, 2]
    [sampled] = documents(store, "montecarlo", "small", load=True)
    assert [c.temperature for c in sampled.chains] == [300, 900]
    assert sampled.mode == "fixed lattice"
    series = ChainSeries.from_file(sampled.series)
    assert series.energies.shape == (2, 13)
    for chain, average in zip(sampled.chains, sampled.averages, strict=True):
        assert (
            sorted(chain.initial_species) == sorted(chain.final_species) == ["Mo", "Nb", "Ta", "W"]
        )
        # Two by two cells of four elements: every pair of elements is equally often bonded, as
        # in every random decoration.
        for a, b in (("Mo", "Ta"), ("Nb", "W")):
            assert chain.order_parameters["1"][f"{a}-{b}"] == pytest.approx(0, abs=1e-12)
        assert average.order_parameters["1"]["Mo-Mo"] == pytest.approx(0, abs=1e-12)
        assert average.order_errors["1"]["Mo-Mo"] == 0
        # All 4! decorations of such a cell are equivalent: F = E − T k_B ln(4!)/4.
        assert average.energy_mev == pytest.approx(sampled.random_mev, abs=0.05)
        ideal = sampled.random_mev - 1e3 * kB * chain.temperature * math.log(24) / 4
        assert average.free_energy_mev == pytest.approx(ideal, abs=0.05)
    [phases] = documents(store, "thermodynamics", "small")
    assert len(phases.decompositions) == 15
    assert set(phases.sqs_mixing_mev) >= {"Mo-W", "Mo-Ta-Nb-W"}
    assert phases.h_hull_mev >= 0
    assert phases.uncertainty is None  # no held-out structure has a label
    # Cells of two units are those of 2(2), which are labelled; larger ones have no relaxed label.
    assert set(phases.reference.sqs_mixing_mev) | set(phases.reference.missing) == set(
        phases.sqs_mixing_mev
    )
    labelled = {k for k in phases.sqs_mixing_mev if k.count("-") == 1}
    assert set(phases.reference.sqs_mixing_mev) >= labelled
    assert "has no relax label" in phases.reference.missing["Mo-Ta-Nb-W"]
    assert phases.reference.decomposition_temperature is None


def _check_provenance(connection: Connection, campaign_file: Path) -> None:
    """Walk from a benchmark to everything it was made from."""
    store = _store(connection)
    tuned = next(b for b in documents(store, "benchmark", "small") if b.role == "fine-tuned")
    root = trace(store, tuned.uuid)
    kinds: dict[str, list[Any]] = {}
    for node in root.all_nodes():
        assert node.document is not None, node.uuid
        kinds.setdefault(node.kind, []).append(node.document)
    [campaign] = kinds["campaign"]
    assert campaign.config == campaign_file.read_text()
    [dataset] = kinds["dataset"]
    assert dataset.seed == 23
    [train] = kinds["training"]
    assert train.model.sha256 == tuned.model.sha256
    labels = {d.uuid: d for d in kinds["label"]}
    for frame in dataset.frames:
        assert labels[frame.label].structure.structure_id == frame.structure_id
        assert frame.step < labels[frame.label].n_frames
    assert {d.settings_id for d in labels.values()} == {dataset.settings_id}
    assert {d.settings["code"] for d in labels.values()} == {"gpaw"}
    assert all(d.versions["hea-flows"] for d in root_documents(root))
    shown = cli(connection, "show", tuned.uuid, "--provenance")
    for fact in (campaign.config_sha256, tuned.model.sha256, dataset.settings_id, campaign.uuid):
        assert fact in shown


def root_documents(root: Any) -> list[Any]:
    return [node.document for node in root.all_nodes()]


def _check_queries(connection: Connection, output: str) -> None:
    """The numbers of pymongo, of the command line and of the summary are the same."""
    assert connection.uri is not None
    client: Any = pymongo.MongoClient(connection.uri.get_secret_value())
    outputs = client[connection.database_name]["outputs"]
    found = outputs.find({"output.kind": "benchmark", "output.campaign": "small"})
    raw = {d["output"]["role"]: d["output"]["tables"] for d in found}
    client.close()
    arguments = ("query", "--kind", "benchmark", "--campaign", "small", "--full")
    shown = {d["role"]: d["tables"] for d in json.loads(cli(connection, *arguments))}
    assert set(raw) == set(shown) == {"foundation", "fine-tuned"}
    for role, tables in raw.items():
        for mine, other in zip(tables, shown[role], strict=True):
            assert mine["mixing_mae_mev"] == other["mixing_mae_mev"]
            assert f"{mine['mixing_mae_mev']:.2f}" in output


def test_a_failing_job_is_told_and_retried(connection: Connection, campaign_file: Path) -> None:
    text = campaign_file.read_text().split("model:")[0]
    campaign_file.write_text(text.replace("1(1)+2(2)", "2(2)"))  # no end points
    output = cli(connection, "run", str(campaign_file), check=False)
    assert "no label of the end point of Mo, Ta, Nb, W" in output
    assert "run again to retry" in output
    assert "Traceback" not in output
    assert "1 failed jobs are tried again" in cli(
        connection, "run", str(campaign_file), check=False
    )
