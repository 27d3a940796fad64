from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows.alloy.sets.named import parse
from hea_flows.provenance import settings_id
from hea_flows.reference import ArchiveMaker, find_card, load_dataset
from hea_flows.results.export import write_archive
from hea_flows.schemas import (
    AlloySpec,
    LabelDoc,
    StructureEntry,
    StructuresDoc,
    Trajectory,
)

RULE = {"code": "toy", "epsilon": 1.0}
SPEC = AlloySpec(elements=("Mo", "W", "Nb"))


def entries(expression: str) -> list[StructureEntry]:
    return [StructureEntry.from_ordering(o) for o in parse(expression).build(SPEC.to_alloy(), 0)]


def label(entry: StructureEntry) -> LabelDoc:
    frames = []
    for step in range(2):
        atoms = entry.to_ordering(SPEC.to_alloy()).to_atoms(a=3.1 + 0.1 * step)
        atoms.calc = LennardJones(sigma=2.0, rc=6.0)
        results = {k: atoms.calc.get_property(k, atoms) for k in ("energy", "forces", "stress")}
        atoms.calc = SinglePointCalculator(atoms, free_energy=results["energy"], **results)
        frames.append(atoms)
    return LabelDoc(
        structure=entry,
        engine="toy",
        settings=RULE,
        settings_id=settings_id(RULE),
        calculation="relax",
        state="converged",
        n_frames=2,
        trajectory=Trajectory.from_frames(frames),
    )


@pytest.fixture
def card(tmp_path: Path) -> Path:
    known = entries("1(1)+2(2)[Mo,W]")
    structures = StructuresDoc(
        alloy=SPEC, expression="1(1)+2(2)", seed=0, n_structures=6, structures=entries("1(1)+2(2)")
    )
    path = tmp_path / "toy.json"
    written = write_archive(
        path,
        title="toy",
        labels=[label(e) for e in known],
        structures=[structures],
        regenerate="never",
    )
    assert (written.n_structures, written.n_frames) == (4, 8)
    expected = {"structures": 6, "labelled": 4, "converged": 4, "frames": 8}
    assert written.content == {"1(1)+2(2)": expected}
    return path


def run(maker: ArchiveMaker, entry: StructureEntry) -> LabelDoc:
    job = maker.make(entry, SPEC)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    output = run_locally(job, store=store, ensure_success=True, log=False)[job.uuid][1].output
    return LabelDoc.model_validate(output)


def test_labels_are_found_by_identity_and_kept_exactly(card: Path) -> None:
    [entry] = entries("2(2)[Mo,W]")
    turned = entry.model_copy(update={"species": ("W", "Mo"), "formula": "Mo1W1S4"})
    for one in (entry, turned):
        found = run(ArchiveMaker(dataset=str(card)), one)
        assert found.state == "converged"
        assert found.engine == "archive:toy"
        assert found.settings_id == settings_id(RULE)
        expected = label(entry).trajectory
        assert expected is not None
        assert found.trajectory is not None
        assert found.trajectory.energies == expected.energies
        np.testing.assert_array_equal(found.trajectory.forces, expected.forces)
        np.testing.assert_array_equal(found.trajectory.cells, expected.cells)


def test_a_structure_it_lacks_is_a_recorded_miss(card: Path) -> None:
    [entry] = entries("2(2)[Mo,Nb]")
    found = run(ArchiveMaker(dataset=str(card)), entry)
    assert (found.state, found.n_frames, found.trajectory) == ("missing", 0, None)
    assert found.reason == "toy has no relax label of Mo1Nb1S4"
    [known] = entries("2(2)[Mo,W]")
    static = run(ArchiveMaker(dataset=str(card), calculation="static"), known)
    assert static.reason == "toy has no static label of Mo1W1S4"


def test_a_relaxation_comes_before_a_single_point(tmp_path: Path) -> None:
    both, single, none = entries("2(2)")
    relaxed = [label(both)]
    points = [label(e).model_copy(update={"calculation": "static"}) for e in (both, single)]
    path = tmp_path / "toy.json"
    structures = StructuresDoc(
        alloy=SPEC, expression="2(2)", seed=0, n_structures=3, structures=[both, single, none]
    )
    write_archive(path, title="", labels=points + relaxed, structures=[structures], regenerate="")
    maker = ArchiveMaker(dataset=str(path), calculation="either")
    maker.check(SPEC)
    found = [run(maker, e) for e in (both, single, none)]
    assert [(d.calculation, d.state) for d in found] == [
        ("relax", "converged"),
        ("static", "converged"),
        ("relax", "missing"),
    ]
    assert found[2].reason == f"toy has no relax or static label of {none.formula}"
    with pytest.raises(ValueError, match="'both'; accepted: relax, static, either"):
        ArchiveMaker(dataset=str(path), calculation="both").check(SPEC)  # type: ignore[arg-type]


def test_of_several_datasets_the_first_that_has_a_label_gives_it(
    card: Path, tmp_path: Path
) -> None:
    [known] = entries("2(2)[Mo,W]")
    [lacking] = entries("2(2)[Mo,Nb]")
    [neither] = entries("2(2)[W,Nb]")
    of_lacking = label(lacking)
    assert of_lacking.trajectory is not None
    others = [
        label(known).model_copy(update={"trajectory": of_lacking.trajectory}),
        of_lacking,
    ]
    path = tmp_path / "more.json"
    structures = StructuresDoc(
        alloy=SPEC, expression="", seed=0, n_structures=2, structures=[known, lacking]
    )
    write_archive(path, title="", labels=others, structures=[structures], regenerate="")
    maker = ArchiveMaker(dataset=[str(card), str(path)])
    maker.check(SPEC)
    first, second, none = (run(maker, e) for e in (known, lacking, neither))
    expected = label(known).trajectory
    assert expected is not None
    assert first.engine == "archive:toy+more"
    assert first.trajectory is not None
    assert first.trajectory.energies == expected.energies
    assert second.trajectory is not None
    assert second.trajectory.energies == of_lacking.trajectory.energies
    assert none.reason == "toy+more has no relax label of Nb1W1S4"


def test_other_settings_are_refused(card: Path) -> None:
    [entry] = entries("2(2)[Mo,W]")
    other = ArchiveMaker(dataset=str(card), settings_id="0123456789ab")
    with pytest.raises(ValueError, match="0123456789ab was asked for; labels of different"):
        other.check(SPEC)
    with pytest.raises(RuntimeError):
        run(other, entry)


def test_a_changed_file_is_refused(card: Path) -> None:
    path = card.with_suffix(".extxyz.xz")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="its card says"):
        load_dataset(card)


def test_a_changed_rule_is_refused(card: Path) -> None:
    data = json.loads(card.read_text())
    data["settings"]["epsilon"] = 2.0
    card.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="do not hash to settings id"):
        load_dataset(card)


def test_unknown_datasets() -> None:
    with pytest.raises(FileNotFoundError, match="no dataset 'none'; give the path of a card"):
        find_card("none")
