"""Forty runs of VASP, and the same data through other files, become the same dataset."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import vasp_runs
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sets import parse
from hea_flows.provenance import settings_id
from hea_flows.reference import ArchiveMaker, extra_frames, load_dataset
from hea_flows.reference.vasp import VaspMaker
from hea_flows.results.importing import (
    Imported,
    ImportSettings,
    import_dataset,
    read_sources,
)
from hea_flows.runtime.extxyz import write_frames
from hea_flows.schemas import AlloySpec, StructureEntry

ALLOY = Alloy(("Mo", "W", "Nb", "Ta"))
#: Numbers of the runs with which something is wrong.
CUT_EARLY, CUT_LATE, OTHER, LEFT = 10, 11, (12, 13), 14


def orderings(n: int = 16) -> list[Ordering]:
    return parse("1(1)+2(2)+2(3)+3(3)").build(ALLOY, 0)[:n]


def write_runs(root: Path, home: Path, n: int) -> None:
    """Write runs: two damaged, two of another functional, one that left its phase."""
    with vasp_runs.standin(home):
        for i, ordering in enumerate(orderings(n)):
            vasp_runs.run(
                root / f"run-{i:02d}",
                ordering,
                home,
                fault={"kind": "truncated"} if i == CUT_LATE else None,
                slide=(0, 1.85, 0) if i == LEFT else (0, 0, 0),
                **({"incar": {"GGA": "PS"}} if i in OTHER else {}),
            )
    cut = root / f"run-{CUT_EARLY:02d}" / "vasprun.xml"
    cut.write_bytes(cut.read_bytes()[:3000])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of sixteen runs."""
    root = tmp_path_factory.mktemp("mine")
    write_runs(root, tmp_path_factory.mktemp("home"), 16)
    return root


@pytest.fixture(scope="module")
def imported(folder: Path) -> Imported:
    return imported_from(folder, folder.parent / "mine.json")


def imported_from(source: Path, card: Path, **given: object) -> Imported:
    return import_dataset(card, read_sources([source]), ImportSettings(**given))


def arrays(card: Path) -> dict[tuple[str, str], list[np.ndarray]]:
    _, trajectories = load_dataset(card)
    return {
        key: [
            np.concatenate(
                [
                    np.ravel(x)
                    for x in (
                        f.positions,
                        f.cell.array,
                        *(f.calc.results[k] for k in ("energy", "free_energy", "forces", "stress")),
                    )
                ]
            )
            for f in frames
        ]
        for key, frames in trajectories.items()
    }


def test_every_run_is_accounted_for(imported: Imported) -> None:
    n = len(orderings())
    refused = {one.source.split("/")[1]: one.reason for one in imported.refused}
    assert refused == {
        f"run-{CUT_EARLY}": "cut before the first ionic step was whole",
        **{f"run-{i}": refused[f"run-{i}"] for i in OTHER},
    }
    assert all(refused[f"run-{i}"].startswith("other settings, ") for i in OTHER)
    [other] = imported.other_settings
    assert "2 runs; incar GGA Ps instead of unset" in other
    assert not imported.trains
    assert len(imported.labels) == n - 3
    remarks = {one.source.split("/")[1]: one.reason for one in imported.remarks}
    assert set(remarks) == {f"run-{LEFT}", f"run-{CUT_LATE}"}
    assert remarks[f"run-{LEFT}"].startswith("left its phase: ")
    assert remarks[f"run-{CUT_LATE}"].startswith("not converged: largest force 0.0")
    assert imported.missing == []
    assert imported.card.alloy == AlloySpec(elements=("Mo", "Nb", "Ta", "W"))


def test_structures_are_those_that_were_run(imported: Imported, folder: Path) -> None:
    lost = {CUT_EARLY, *OTHER}
    expected = {o.id for i, o in enumerate(orderings()) if i not in lost}
    assert {d.structure.structure_id for d in imported.labels} == expected
    card = folder.parent / "mine.json"
    built = parse(f"dataset({card})").build(ALLOY, 0)
    assert {o.id for o in built} == expected
    maker = ArchiveMaker(dataset=str(card))
    ordering = orderings()[5]
    spec = AlloySpec(elements=ALLOY.elements)
    label = maker.label(StructureEntry.from_ordering(ordering), spec)
    assert (label.state, label.flags, label.reason) == ("converged", [], None)
    left = maker.label(StructureEntry.from_ordering(orderings()[LEFT]), spec)
    assert left.flags


def test_the_rule_is_the_engines(
    imported: Imported, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = frozenset(f"PAW_PBE{s}01Jan2000" for s in ("Mo_pv", "W_pv", "Nb_pv", "Ta_pv", "S"))
    known = {"LDA": frozenset(), "PBE": titles, "PBE_54": titles}
    monkeypatch.setattr("hea_flows.reference.vasp.rules._known_titles", lambda: known)
    again = imported_from(folder, tmp_path / "again.json")
    maker = VaspMaker()
    assert again.card.settings == maker.rule()
    assert again.card.settings_id == settings_id(maker.rule())
    chosen = imported_from(folder, tmp_path / "chosen.json", settings_id=[*again.settings][1])
    assert chosen.card.settings == VaspMaker.from_options(incar={"GGA": "PS"}).rule()
    assert len(chosen.labels) == len(OTHER)
    assert chosen.missing == ["Mo", "Nb", "Ta", "W"]


@pytest.mark.parametrize("kind", ["mace", "ase", "shuffled", "database"])
def test_the_same_through_other_files(
    imported: Imported, folder: Path, tmp_path: Path, kind: str
) -> None:
    frames, rng = [], np.random.default_rng(0)
    for label in imported.labels:
        for frame in label.trajectory.to_frames():
            order = rng.permutation(len(frame)) if kind == "shuffled" else np.arange(len(frame))
            if kind == "shuffled" and frames and len(frames[-1]) == len(frame):
                order = np.arange(len(frame))
            plain = Atoms(frame.symbols[order], frame.positions[order], cell=frame.cell, pbc=True)
            results = dict(frame.calc.results)
            results["forces"] = results["forces"][order]
            results.pop("magmoms", None)
            plain.calc = SinglePointCalculator(plain, **results)
            frames.append(plain)
    if kind == "database":
        source = tmp_path / "frames.db"
        with connect(source) as database:
            for frame in frames:
                database.write(frame)
    else:
        source = tmp_path / "frames.extxyz.gz"
        write_frames(source, frames, keys="mace" if kind == "mace" else "ase")
    card = tmp_path / "other.json"
    with pytest.raises(ValueError, match="say nothing of their settings"):
        imported_from(source, card)
    rule = {"code": "vasp", "functional": "PBE"}
    again = imported_from(source, card, settings=rule, calculation="relax", fmax=0.0101)
    assert again.card.settings == rule
    if kind == "shuffled":
        ids = {d.structure.structure_id for d in again.labels}
        assert ids == {d.structure.structure_id for d in imported.labels}
        return
    one, two = arrays(folder.parent / "mine.json"), arrays(card)
    assert one.keys() == two.keys()
    for key, steps in one.items():
        assert len(steps) == len(two[key])
        assert all((a == b).all() for a, b in zip(steps, two[key], strict=True))


def test_compressed_files_and_outcars_are_read_alike(folder: Path, tmp_path: Path) -> None:
    for i, (name, pack) in enumerate(
        [("vasprun.xml.gz", gzip.compress), ("vasprun.xml.xz", lzma.compress), ("OUTCAR", bytes)]
    ):
        run = tmp_path / f"r{i}"
        run.mkdir()
        for file in (name.removesuffix(".gz").removesuffix(".xz"), "INCAR"):
            raw = (folder / f"run-0{i}" / file).read_bytes()
            (run / (name if file != "INCAR" else file)).write_bytes(
                pack(raw) if file != "INCAR" else raw
            )
    again = imported_from(tmp_path, tmp_path / "few.json")
    assert [d.state for d in again.labels] == ["converged"] * 3
    assert len(again.settings) == 1
    assert again.missing == []


def test_what_is_no_structure_only_trains(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ordering = orderings()[4]
    ideal = ordering.to_atoms()
    frames = []
    for number in range(4):
        atoms = ideal.copy()
        atoms.rattle(0.05, rng=rng)
        if number == 3:
            atoms.symbols[0] = "O"
        results = {"energy": -10.0 + number, "forces": rng.normal(size=(len(atoms), 3))}
        if number != 1:
            results["stress"] = np.full(6, 0.01)
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames += [atoms, unit(number)]
    source = tmp_path / "mixed.xyz"
    write_frames(source, frames, keys="mace")
    given = {"settings": {"code": "x"}, "elements": ["Mo", "Nb", "Ta", "W"]}
    again = imported_from(source, tmp_path / "mixed.json", **given)
    reasons = {one.source.split(", ")[1]: one.reason for one in again.trains}
    assert reasons["frame 3"] == "without stress, which labels of structures have"
    assert "elements ['O'] are not of the alloy" in reasons["frame 7"]
    assert reasons["frame 5"].endswith(f"is the label of {ordering.formula}, static")
    assert again.missing == ["Nb", "Ta", "W"]
    card, extra = extra_frames(tmp_path / "mixed.json")
    assert card.extra.n_frames == len(extra) == sum(1 for _ in again.trains)
    positions = {f.positions.tobytes() for f in frames}
    assert all(f.positions.tobytes() in positions for f in extra)
    assert {f.info["settings_id"] for f in extra} == {settings_id({"code": "x"})}


def unit(seed: int) -> Atoms:
    atoms = Ordering(ALLOY, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",)).to_atoms(
        a=3.1 + 0.02 * seed
    )
    zero = np.zeros((3, 3))
    atoms.calc = SinglePointCalculator(atoms, energy=-20.0 - seed, forces=zero, stress=np.ones(6))
    return atoms


def test_no_settings_of_more_than_half_are_chosen_by_hand(folder: Path, tmp_path: Path) -> None:
    few = [folder / f"run-{i:02d}" for i in (0, 1, *OTHER)]
    with pytest.raises(ValueError, match=r"none has more than half.*--settings-id: \w+ \(2 runs"):
        import_dataset(tmp_path / "x.json", read_sources(few), ImportSettings())


def test_a_dataset_is_imported_again_as_it_is(folder: Path, imported: Imported, tmp_path: Path):
    card = folder.parent / "mine.json"
    again = imported_from(card, tmp_path / "copy.json")
    assert again.card.settings_id == imported.card.settings_id
    one, two = arrays(card), arrays(tmp_path / "copy.json")
    assert one.keys() == two.keys()
    assert all((a == b).all() for k in one for a, b in zip(one[k], two[k], strict=True))
    assert json.loads((tmp_path / "copy.json").read_text())["structures"]
