"""`hea-flows import dataset`, as people call it, and a campaign on what it wrote."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import vasp_runs
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from command import cli

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets import parse
from hea_flows.cli import main
from hea_flows.results.store import documents
from hea_flows.runtime.extxyz import write_frames
from hea_flows.services import Connection

ALLOY = Alloy(("Mo", "W"))


def frames() -> list[Atoms]:
    rng = np.random.default_rng(0)
    found = []
    for ordering in parse("1(1)+2(2)").build(ALLOY, 0):
        atoms = ordering.to_atoms()
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=-20.0 * ordering.n_sites,
            forces=rng.normal(scale=1e-3, size=(len(atoms), 3)),
            stress=np.zeros(6),
        )
        found.append(atoms)
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["import", "dataset", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_one_command_makes_a_dataset(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, card = tmp_path / "mine.xyz", tmp_path / "own.json"
    write_frames(source, frames(), keys="mace")
    rule = tmp_path / "rule.yaml"
    rule.write_text("code: vasp\nfunctional: PBE\n")
    code, out, _ = run(
        capsys, str(card), str(source), "--settings", str(rule), "--settings", "cutoff=520"
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "3 runs read: 3 labels, 0 only train, 0 refused"
    assert lines[1] == "alloy: Mo, W on 2H-MX2, anion S"
    assert lines[2].endswith("3 runs: code vasp, functional PBE, cutoff 520")
    assert lines[3] == "labels: 3 converged relax"
    assert lines[-2] == "end points: all 2"
    assert lines[-1] == f"3 labels, 3 frames: own.extxyz.xz, {card}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say nothing of their settings; give what makes labels comparable"),
        (["--settings", "x=1", "--prototype", "3R"], "unknown prototype '3R'; accepted: 2H-MX2"),
        (["--settings", "x=1", "--anion", "Se"], "no structure among 3 has the composition"),
        (["--settings", "x=1", "--settings-id", "abc"], "no run has that settings id"),
        (["--settings", "no.yaml"], "No such file"),
        (["--settings", "x=1", "--alloy", "mine.xyz"], "mine.xyz"),
        (["--settings", "x=1", "--store", "no.yaml"], "no file of a job store at no.yaml"),
        (["--settings", "x=1", "nothing"], "no file or folder at nothing"),
        (["--settings", "x=1", "."], "holds no vasprun.xml and no OUTCAR"),
    ],
)
def test_what_is_wrong_is_one_line(
    machine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_frames(Path("mine.xyz"), frames(), keys="mace")
    code, _, err = run(capsys, "own.json", "mine.xyz", *arguments)
    assert code == 1
    assert said in err
    assert err.count("\n") == 1
    assert not Path("own.json").exists()


CAMPAIGN = """\
name: own
alloy: {elements: [Mo, W], prototype: 2H-MX2, anion: S}
structures:
  - set: dataset(own.json)
labels: {engine: archive, options: {dataset: own.json}}
dataset: {extra_frames: own.json}
model: {family: mace, architecture: {hidden_irreps: 8x0e}}
training: {epochs: 1, batch_size: 8, seed: 1}
benchmark: {relaxed: false}
"""


@pytest.mark.slow
def test_forty_runs_become_a_dataset_that_a_campaign_trains_on(
    connection: Connection, tmp_path: Path
) -> None:
    alloy = Alloy(("Mo", "W", "Nb", "Ta"))
    orderings = parse("1(1)+2(2)+2(3)+3(3)").build(alloy, 0)[:40]
    home = tmp_path / "standin"
    home.mkdir()
    with vasp_runs.standin(home), contextlib.redirect_stdout(io.StringIO()):
        for i, ordering in enumerate(orderings):
            vasp_runs.run(
                tmp_path / "runs" / f"run-{i:02d}",
                ordering,
                home,
                fault={"kind": "truncated"} if i == 25 else None,
                slide=(0, 1.85, 0) if i == 20 else (0, 0, 0),
                **({"incar": {"GGA": "PS"}} if i in (30, 31) else {}),
            )
    cut = tmp_path / "runs" / "run-12" / "vasprun.xml"
    cut.write_bytes(cut.read_bytes()[:3000])
    # A second run of a structure, and another compound: they only train.
    raw = (tmp_path / "runs" / "run-06" / "vasprun.xml").read_text()
    (tmp_path / "runs" / "again").mkdir()
    (tmp_path / "runs" / "again" / "vasprun.xml").write_text(
        raw[: raw.rindex("<calculation>")] + "</modeling>"
    )
    out = cli(connection, "import", "dataset", str(tmp_path / "own.json"), str(tmp_path / "runs"))
    assert "41 runs read: 37 labels, 1 only train, 3 refused" in out
    assert "not taken: " in out
    assert "2 runs; incar GGA Ps instead of unset" in out
    assert "runs/run-20/vasprun.xml: left its phase: layer broken" in out
    assert "runs/run-12/vasprun.xml: cut before the first ionic step was whole" in out
    assert "runs/again/vasprun.xml: runs/run-06/vasprun.xml is the label of" in out
    assert "end points: all 4" in out

    campaign = tmp_path / "own.yaml"
    campaign.write_text(CAMPAIGN)
    cli(connection, "run", str(campaign), "--report", str(tmp_path / "report.html"))
    store = connection.job_store()
    store.connect()
    [dataset] = documents(store, "dataset", "own", load=True)
    assert dataset.n_structures == 6  # of seven of Mo and W, one left its phase
    assert "left its phase" in next(iter(dataset.excluded.values()))
    assert dataset.n_extra > 0
    [training] = documents(store, "training", "own")
    assert training.errors["train"].n_frames == len(dataset.train) + dataset.n_extra
