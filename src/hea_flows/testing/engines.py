"""What every reference engine has to keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyEncoder
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.provenance import settings_id
from hea_flows.reference import Outcome, ReferenceMaker
from hea_flows.runtime import OutOfTimeError
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry
from hea_flows.testing.makers import check_maker

#: Two cells of a MoS2-WS2 monolayer.
MONOLAYER = Ordering(Alloy(("Mo", "W")), ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo", "W"))
#: Largest distance (Å) of the first frame from the start geometry, for codes that write text.
_SHIFT = 1e-6


def check_reference_engine(
    maker: ReferenceMaker, ordering: Ordering = MONOLAYER, *, keeps_start: bool = True
) -> LabelDoc:
    """Check an engine as campaigns use it; it labels one structure once.

    It survives JSON and jobflow's updates, refuses what it does not know in one line, starts from
    the geometry that it is given, keeps the order of the atoms and the vacuum of a layer, describes
    a failure in a document, and goes on after the time limit of a batch job.

    Parameters
    ----------
    maker
        The engine, with settings that make a quick label.
    ordering
        A structure that it can label.
    keeps_start
        Whether the first frame is the start geometry; an engine that reads labels has its own.

    Returns
    -------
    label
        For further checks.

    Raises
    ------
    AssertionError
        Saying what is not kept.
    """
    host = ordering.alloy
    alloy = AlloySpec.of(host)
    structure = StructureEntry.from_ordering(ordering)
    _check_value(maker)
    _check_refusals(maker, alloy)
    start = _moved(ordering)
    label = _run(maker, structure, alloy, start)
    _check_label(label, maker, ordering)
    assert label.trajectory is not None
    frames = label.trajectory.to_frames()
    if keeps_start:
        shift = (frames[0].positions - start.cart_coords) @ np.linalg.inv(start.lattice.matrix)
        distance = np.abs((shift - np.rint(shift)) @ start.lattice.matrix).max()
        assert distance < _SHIFT, f"the first frame is {distance:.1e} Å from the start geometry"
    _check_ideal_start(maker, structure, alloy, frames)
    _check_failures(maker, structure, alloy, frames)
    _check_time_limit(maker, structure, alloy, frames)
    return label


def _check_value(maker: ReferenceMaker) -> None:
    """Check that an engine is a value, and its rule and identity plain data."""
    again = check_maker(maker)
    renamed = replace(maker, name="renamed")
    assert renamed.engine == maker.engine, "the engine goes by the name of one job"
    assert isinstance(maker.category, str)
    rule = maker.rule()
    assert json.loads(json.dumps(rule)) == rule == again.rule(), "the rule is no plain data"
    assert again.rule() == renamed.rule(), "the rule depends on the name of the job"
    one, other = (json.dumps(m.identity(), cls=MontyEncoder) for m in (maker, again))
    assert one == other, "the identity changes from copy to copy"


def _check_refusals(maker: ReferenceMaker, alloy: AlloySpec) -> None:
    maker.check(alloy)
    other: Any = "no such calculation"
    refused: dict[str, Callable[[], object]] = {
        "no such calculation": lambda: replace(maker, calculation=other).check(alloy),
        "no_such_option": lambda: type(maker).with_options({"no_such_option": 1}),
    }
    for name, ask in refused.items():
        answer = "it is accepted"
        try:
            ask()
        except ValueError as error:
            answer = str(error)
        assert name in answer, f"{name!r} is not refused by its name: {answer}"
        assert "\n" not in answer, f"{name!r} is refused in more than one line: {answer}"


def _moved(ordering: Ordering) -> Structure:
    """Return a start geometry off the ideal one, periodic everywhere as pymatgen has it."""
    atoms = ordering.to_atoms()
    atoms.set_cell(atoms.cell.array * [[1.01], [1.01], [1]], scale_atoms=True)
    atoms.rattle(0.02, seed=1)
    atoms.pbc = True
    return AseAtomsAdaptor.get_structure(atoms)


def _run(
    maker: ReferenceMaker, structure: StructureEntry, alloy: AlloySpec, start: Structure | None
) -> LabelDoc:
    """Return the label that a job leaves in a store."""
    job = maker.make(structure, alloy, start=start)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(job, store=store, log=False, raise_immediately=True)
    return LabelDoc.model_validate(store.get_output(job.uuid, load=True))


def _check_label(label: LabelDoc, maker: ReferenceMaker, ordering: Ordering) -> None:
    assert label.state in ("converged", "unconverged"), f"{label.state}: {label.reason}"
    assert label.engine == maker.engine
    assert label.settings_id == settings_id(maker.rule())
    trajectory = label.trajectory
    assert trajectory is not None
    assert label.n_frames == len(trajectory.energies)
    assert label.energy == trajectory.energies[-1], "the label's energy is not the last frame's"
    assert trajectory.pbc == ordering.alloy.pbc
    symbols = ordering.to_atoms().get_chemical_symbols()
    assert trajectory.symbols == symbols, "the atoms are not in the order of Ordering.to_atoms"
    if ordering.alloy.host.layer:
        c = np.array(trajectory.cells)[:, 2]
        assert np.allclose(c, ordering.to_atoms().cell.array[2]), "the vacuum of the layer changed"


def _check_ideal_start(
    maker: ReferenceMaker, structure: StructureEntry, alloy: AlloySpec, frames: list[Atoms]
) -> None:
    """Check what `compute` is given where no start geometry is."""
    given: list[Atoms] = []

    def compute(_: ReferenceMaker, atoms: Atoms, *__: object, **___: object) -> Outcome:
        given.append(atoms)
        return Outcome(frames, converged=True)

    with patch.object(type(maker), "compute", compute):
        label = maker.label(structure, alloy)
    assert isinstance(label, LabelDoc)
    assert label.state == "converged", f"{label.state}: {label.reason}"
    assert given == [structure.to_ordering(alloy.to_alloy()).to_atoms()]


def _check_failures(
    maker: ReferenceMaker, structure: StructureEntry, alloy: AlloySpec, frames: list[Atoms]
) -> None:
    def crash(*_: object, **__: object) -> Outcome:
        msg = "no\nluck"
        raise RuntimeError(msg)

    cases: list[tuple[Callable[..., Outcome], str]] = [(crash, "RuntimeError: no luck")]
    for reason, path in broken_frames(frames).items():
        cases.append((lambda *_, path=path, **__: Outcome(path, converged=True), reason))
    for compute, reason in cases:
        with patch.object(type(maker), "compute", compute):
            label = maker.label(structure, alloy)
        assert isinstance(label, LabelDoc)
        got = f"{label.state}: {label.reason}"
        assert label.state == "failed", f"{got}; expected failed: {reason}"
        assert reason in (label.reason or ""), f"{got}; expected: {reason}"
        assert label.trajectory is None


def broken_frames(frames: list[Atoms]) -> Mapping[str, list[Atoms]]:
    """Return paths that are no labels, by what their document has to say.

    Parameters
    ----------
    frames
        A path that is one.
    """
    first, last = frames[0], frames[-1]
    back = last[::-1]
    back.calc = SinglePointCalculator(back, **last.calc.results)
    broken = {"no ionic step was labelled": [], "frame 2 of 2 has other atoms": [last, back]}
    if back.get_chemical_symbols() == last.get_chemical_symbols():
        del broken["frame 2 of 2 has other atoms"]
    for name in ("energy", "forces", "stress"):
        results = last.calc.results
        without = {k: v for k, v in results.items() if k != name}
        broken[f"frame 2 of 2 has no {name}"] = [first, _with_results(last, without)]
        nan = results | {name: np.full(np.shape(results[name]), np.nan)}
        text = f"frame 1 of 2 has {name} that are not finite"
        broken[text] = [_with_results(first, nan), last]
    cut = _with_results(last, last.calc.results | {"forces": last.calc.results["forces"][1:]})
    broken["frame 1 of 1 has forces of shape"] = [cut]
    if not all(last.pbc):
        bulk, thicker = (_with_results(last, last.calc.results) for _ in range(2))
        bulk.pbc = True
        broken["frame 2 of 2 is periodic along abc"] = [first, bulk]
        thicker.cell.array[2] *= 1.1
        broken["frame 2 of 2 has another c, which holds the vacuum"] = [first, thicker]
    return broken


def _with_results(frame: Atoms, results: dict[str, Any]) -> Atoms:
    atoms: Atoms = frame.copy()
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results = results
    return atoms


def _check_time_limit(
    maker: ReferenceMaker, structure: StructureEntry, alloy: AlloySpec, frames: list[Atoms]
) -> None:
    """Check that a job near its time limit is followed by one that goes on."""
    calls: list[str] = []

    def compute(engine: ReferenceMaker, *_: object, **__: object) -> Outcome:
        calls.append(engine.name)
        if len(calls) == 1:
            raise OutOfTimeError
        return Outcome(frames, converged=True)

    with (
        patch.object(type(maker), "compute", compute),
        patch.object(OutOfTimeError, "happened", False),  # noqa: FBT003
    ):
        label = _run(maker, structure, alloy, None)
    assert label.state == "converged"
    assert calls == [maker.name, maker.name]
