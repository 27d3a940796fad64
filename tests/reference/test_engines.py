"""What all engines share, checked on each; GPAW and VASP are with their own tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from counting import CountingMaker

from hea_flows.alloy.lattice import Ordering
from hea_flows.reference import Outcome, ReferenceMaker, evaluate, label_document
from hea_flows.reference.archive import ArchiveMaker
from hea_flows.reference.document import check_frames
from hea_flows.reference.synthetic import SyntheticMaker
from hea_flows.results.export.archive import write_archive
from hea_flows.schemas import AlloySpec, StructureEntry, StructuresDoc
from hea_flows.testing import check_reference_engine
from hea_flows.testing.engines import MONOLAYER, broken_frames

ALLOY = AlloySpec(elements=("Mo", "W"))
ENTRY = StructureEntry.from_ordering(MONOLAYER)


@dataclass
class LennardJonesMaker(ReferenceMaker):
    """All that an engine has to say."""

    name: str = "lennard-jones"
    fmax: float = 0.5

    def rule(self) -> dict[str, Any]:
        return {"code": "lennard-jones"}

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        atoms.calc = LennardJones(sigma=2.2, epsilon=0.5, rc=7.0)
        return evaluate(atoms, self.calculation, fmax=self.fmax)


class ForgetfulMaker(LennardJonesMaker):
    """Relaxes the vacuum."""

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        atoms.pbc = True
        return super().compute(atoms, ordering)


class UnorderedMaker(LennardJonesMaker):
    """Gives back its atoms as a code sorted them."""

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        outcome = super().compute(atoms, ordering)
        return Outcome(
            [broken_frames([f])["frame 2 of 2 has other atoms"][1] for f in outcome.frames], True
        )


@dataclass
class StubbornMaker(LennardJonesMaker):
    """Starts where it likes."""

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        return super().compute(ordering.to_atoms(), ordering)


def archive(folder: Path) -> ReferenceMaker:
    label = LennardJonesMaker().label(ENTRY, ALLOY)
    structures = StructuresDoc(
        alloy=ALLOY, expression="2(2)", seed=0, n_structures=1, structures=[ENTRY]
    )
    card = folder / "toy.json"
    write_archive(card, title="", labels=[label], structures=[structures], regenerate="")
    return ArchiveMaker(dataset=str(card))


def synthetic(_: Path) -> ReferenceMaker:
    pytest.importorskip("chgnet")
    return SyntheticMaker(calculation="static", pairs={"Mo-W": 0.01})


ENGINES: dict[str, Callable[[Path], ReferenceMaker]] = {
    "lennard-jones": lambda _: LennardJonesMaker(),
    "counting": lambda _: CountingMaker(),
    "archive": archive,
    "synthetic": synthetic,
}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine(engine: str, tmp_path: Path) -> None:
    maker = ENGINES[engine](tmp_path)
    label = check_reference_engine(maker, keeps_start=engine != "archive")
    assert label.engine.startswith(engine)
    if engine == "lennard-jones":
        assert label.n_frames > 2


@pytest.mark.parametrize(
    ("maker", "reason"),
    [
        (ForgetfulMaker(), "failed: frame 1 of .* is periodic along abc, its host along ab"),
        (UnorderedMaker(), r"failed: Mo1W1S4 has its atoms in the order of Ordering\.to_atoms"),
        (StubbornMaker(), "the first frame is .* Å from the start geometry"),
    ],
)
def test_an_engine_that_does_not_keep_it_is_told(maker: ReferenceMaker, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_reference_engine(maker)


def test_a_start_geometry_of_other_atoms_is_no_start() -> None:
    other = Ordering(ALLOY.to_alloy(), MONOLAYER.supercell, ("W", "W"))
    start = LennardJonesMaker().label(StructureEntry.from_ordering(other), ALLOY)
    assert start.trajectory is not None
    structure: Any = pytest.importorskip("pymatgen.io.ase").AseAtomsAdaptor.get_structure(
        _bulk(start.trajectory.to_frames()[0])
    )
    label = LennardJonesMaker().label(ENTRY, ALLOY, start=structure)
    assert label.state == "failed"
    assert label.reason == (
        "ValueError: the start geometry has not the atoms of Mo1W1S4, or in another order"
    )


def _bulk(atoms: Atoms) -> Atoms:
    atoms.pbc = True
    atoms.calc = None
    return atoms


def test_frames_before_a_failure_are_labels() -> None:
    frames = LennardJonesMaker().compute(MONOLAYER.to_atoms(), MONOLAYER).frames[:2]
    label = label_document(
        lambda: Outcome(frames, converged=False, reason="the SCF did not converge"),
        structure=ENTRY,
        alloy=ALLOY,
        engine="toy",
        rule={"code": "toy"},
        calculation="relax",
    )
    assert (label.state, label.n_frames) == ("unconverged", 2)
    assert label.reason == "the SCF did not converge"
    assert label.trajectory is not None
    np.testing.assert_array_equal(
        label.trajectory.energies, [f.get_potential_energy() for f in frames]
    )


@pytest.mark.parametrize(
    ("moments", "total"),
    [((0.5, -0.25, 0, 0, 0, 0), 0.25), ([[0.75, 0, 1.0]] + [[0, 0, 0.0]] * 5, 1.25)],
    ids=["numbers", "vectors"],
)
def test_the_moment_of_the_cell(moments: Any, total: float) -> None:
    frames = LennardJonesMaker().compute(MONOLAYER.to_atoms(), MONOLAYER).frames[:2]
    for frame in frames:
        frame.calc.results["magmoms"] = np.array(moments)
    label = label_document(
        lambda: Outcome(frames, converged=True),
        structure=ENTRY,
        alloy=ALLOY,
        engine="toy",
        rule={"code": "toy"},
        calculation="relax",
    )
    assert (label.state, label.magnetization) == ("converged", total)
    assert label.trajectory is not None
    np.testing.assert_array_equal(label.trajectory.magmoms, [moments] * 2)
    frames[1].calc.results["magmoms"] = np.zeros((6, 2))
    with pytest.raises(ValueError, match=r"magmoms of shape \(6, 2\), expected \(6, 3\)"):
        check_frames(frames, MONOLAYER)
