"""Makers of atomate2 as an engine: labels are the calculator's, mistakes are told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from atomate2.ase.jobs import EmtRelaxMaker
from atomate2.forcefields.jobs import ForceFieldRelaxMaker, ForceFieldStaticMaker
from atomate2.vasp.powerups import update_user_incar_settings
from jobflow import Flow, Maker, job
from pymatgen.core import Structure

from hea_flows.alloy.lattice import Ordering
from hea_flows.jobs.reuse import identity
from hea_flows.provenance import settings_id
from hea_flows.reference import reference_engine
from hea_flows.reference.atomate2 import Atomate2Maker
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry
from hea_flows.testing import check_reference_engine
from hea_flows.testing.engines import MONOLAYER

ALLOY = AlloySpec(elements=("Cu", "Au"), prototype="fcc", anion=None)
L1_0 = Ordering(ALLOY.to_alloy(), ((1, -1, 0), (1, 1, -1), (0, 0, 1)), ("Cu", "Au"))
EMT_CALCULATOR = {"@module": "ase.calculators.emt", "@callable": "EMT"}
FORCE_FIELDS = "atomate2.forcefields.jobs"
pytestmark = pytest.mark.usefixtures("machine")


def engine(maker: str, **options: Any) -> Atomate2Maker:
    found = reference_engine("atomate2").with_options({"maker": maker, **options})
    assert isinstance(found, Atomate2Maker)
    return found


def entry(ordering: Ordering) -> tuple[StructureEntry, AlloySpec]:
    return StructureEntry.from_ordering(ordering), ALLOY


def label_of(maker: Atomate2Maker, ordering: Ordering = L1_0) -> LabelDoc:
    found = maker.label(*entry(ordering))
    assert isinstance(found, LabelDoc)
    return found


def are_exact(label: LabelDoc, calculator: Calculator, tolerance: float) -> None:
    """Compare every frame with the calculator itself, in the frame's geometry."""
    assert label.trajectory is not None
    for frame in label.trajectory.to_frames():
        told = frame.calc.results
        fresh = Atoms(frame.symbols, frame.positions, cell=frame.cell, pbc=True)
        fresh.calc = calculator
        assert told["energy"] == pytest.approx(fresh.get_potential_energy(), abs=tolerance)
        np.testing.assert_allclose(told["forces"], fresh.get_forces(), atol=tolerance)
        np.testing.assert_allclose(told["stress"], fresh.get_stress(), atol=tolerance)


@dataclass
class SortedMaker(Maker):
    """A flow: relax, then a single point of the atoms in another order and another image."""

    name: str = "sorted"
    relax: EmtRelaxMaker = field(default_factory=lambda: EmtRelaxMaker(steps=3))

    def make(self, structure: Structure) -> Flow:
        first = self.relax.make(structure)
        second = another_order(first.output.structure)
        last = ForceFieldStaticMaker(force_field_name=dict(EMT_CALCULATOR)).make(second.output)
        return Flow([first, second, last], output=last.output)


@job
def another_order(structure: Structure) -> Structure:
    sites = list(structure)[::-1]
    places = [site.frac_coords + np.array([1, 0, -1]) for site in sites]
    return Structure(structure.lattice, [site.specie for site in sites], places)


@dataclass
class NumberMaker(Maker):
    """Ends in a number."""

    name: str = "number"

    def make(self, structure: Structure) -> Any:
        return number(len(structure))


@job
def number(value: int) -> int:
    return value


@dataclass
class OtherAtomsMaker(Maker):
    """Labels another structure."""

    name: str = "other atoms"
    strain: float = 0.0

    def make(self, structure: Structure) -> Any:
        other = structure.copy()
        if self.strain:
            other.translate_sites([0], [0.5, 0.0, 0.0])
        else:
            other.replace(0, "Ag")
        return EmtRelaxMaker(steps=1).make(other)


def test_a_relaxation() -> None:
    options = {"kwargs": {"relax_kwargs": {"fmax": 0.01}}}
    label = check_reference_engine(engine("atomate2.ase.jobs:EmtRelaxMaker", **options), L1_0)
    assert (label.state, label.calculation, label.engine) == ("converged", "relax", "atomate2")
    assert label.n_frames > 2
    are_exact(label, EMT(), 1e-10)
    assert label.task is not None
    assert label.task.read()


def test_a_single_point_with_a_named_calculator() -> None:
    maker = engine(
        f"{FORCE_FIELDS}:ForceFieldStaticMaker",
        calculation="static",
        kwargs={"force_field_name": EMT_CALCULATOR, "calculator_kwargs": {"asap_cutoff": True}},
    )
    label = check_reference_engine(maker, L1_0)
    assert (label.state, label.n_frames) == ("converged", 1)
    are_exact(label, EMT(asap_cutoff=True), 1e-10)
    assert maker.frames(L1_0) == 1


def test_a_layer() -> None:
    """A mask of ASE's filter fixes the cell's height; without it, the label says what is wrong."""
    chgnet = pytest.importorskip("chgnet.model.dynamics")
    kwargs: dict[str, Any] = {"force_field_name": "CHGNet", "relax_kwargs": {"fmax": 0.05}}
    free = engine(f"{FORCE_FIELDS}:ForceFieldRelaxMaker", kwargs=kwargs)
    alloy = AlloySpec(elements=("Mo", "W"))
    failed = free.label(StructureEntry.from_ordering(MONOLAYER), alloy)
    assert isinstance(failed, LabelDoc)
    assert failed.state == "failed"
    assert "has another c, which holds the vacuum, than the first" in (failed.reason or "")
    kwargs["relax_kwargs"]["filter_kwargs"] = {"mask": [1, 1, 0, 0, 0, 1]}
    label = check_reference_engine(engine(f"{FORCE_FIELDS}:ForceFieldRelaxMaker", kwargs=kwargs))
    assert label.state == "converged"
    assert label.code_versions["MLFF.CHGNet"]
    are_exact(
        label, chgnet.CHGNetCalculator(use_device="cpu", stress_unit="eV/A3"), 1e-5
    )  # float32


def test_a_flow_whose_code_sorts_the_atoms() -> None:
    label = check_reference_engine(Atomate2Maker(maker=SortedMaker()), L1_0, keeps_start=False)
    assert (label.state, label.n_frames) == ("converged", 1)
    are_exact(label, EMT(), 1e-10)


@pytest.mark.parametrize(
    ("maker", "calculation", "reason"),
    [
        (
            NumberMaker(),
            "static",
            "the Maker's output is of type int; accepted are task documents of emmet",
        ),
        (OtherAtomsMaker(), "static", "document has the atoms .*Ag1.*, it was given AuCu"),
        (OtherAtomsMaker(strain=0.1), "static", "in other places than the start geometry"),
        (EmtRelaxMaker(), "static", "EmtRelaxMaker moved atoms by .* write calculation: relax"),
        (EmtRelaxMaker(steps=2), "relax", "largest force|after 3 steps"),
    ],
)
def test_what_is_no_label(maker: Maker, calculation: Any, reason: str) -> None:
    label = label_of(Atomate2Maker(maker=maker, calculation=calculation))
    assert label.state == ("failed" if calculation == "static" else "unconverged")
    assert label.reason is not None
    assert pytest.importorskip("re").search(reason, label.reason), label.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "missing 1 required keyword-only argument: 'maker'"),
        ({"maker": "EmtRelaxMaker"}, "write module:name"),
        ({"maker": "no_such.jobs:RelaxMaker"}, "there is no module 'no_such'; install"),
        ({"maker": "atomate2.ase.jobs:NoMaker"}, "has no function or class 'NoMaker'"),
        ({"maker": "os:system"}, "os is a part of Python"),
        ({"maker": "ase.calculators.emt:EMT"}, "is no Maker of jobflow"),
        (
            {"maker": "atomate2.ase.jobs:EmtRelaxMaker", "kwargs": {"fmax": 0.1}},
            "EmtRelaxMaker has no argument fmax; accepted: name, calculator_kwargs",
        ),
        (
            {"maker": f"{FORCE_FIELDS}:ForceFieldRelaxMaker", "kwargs": {"force_field_name": "X"}},
            "ForceFieldRelaxMaker does not take its arguments: ValueError: .*not a valid MLFF",
        ),
        (
            {
                "maker": "atomate2.vasp.flows.core:DoubleRelaxMaker",
                "kwargs": {"relax_maker1": {"@module": "atomate2.ase.jobs", "@class": "Nothing"}},
            },
            "has no function or class 'Nothing'",
        ),
        (
            {
                "maker": f"{FORCE_FIELDS}:ForceFieldRelaxMaker",
                "kwargs": {"force_field_name": {"@module": "os", "@callable": "system"}},
            },
            "os is a part of Python",
        ),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, ModuleNotFoundError), match=message) as told:
        reference_engine("atomate2").with_options(options)
    assert "\n" not in str(told.value)


def test_a_maker_is_checked_before_a_campaign() -> None:
    static = engine(
        f"{FORCE_FIELDS}:ForceFieldStaticMaker", kwargs={"force_field_name": EMT_CALCULATOR}
    )
    with pytest.raises(ValueError, match="relaxes nothing by its name; add calculation: static"):
        static.check(ALLOY)
    replace(static, calculation="static").check(ALLOY)
    with pytest.raises(ValueError, match="NoStructureMaker makes no jobs of a structure: TypeErr"):
        Atomate2Maker(maker=NoStructureMaker()).check(ALLOY)


@dataclass
class NoStructureMaker(Maker):
    """Wants two things."""

    name: str = "two"

    def make(self, structure: Structure, other: Structure) -> Any:
        return number(1)


def test_settings_ids_follow_the_physics() -> None:
    def settings(**kwargs: Any) -> str:
        return settings_id(engine("atomate2.ase.jobs:EmtRelaxMaker", kwargs=kwargs).rule())

    default = settings()
    assert settings(name="other", tags=["a"], store_trajectory="full") == default
    assert settings(steps=100) != default
    assert settings(calculator_kwargs={"asap_cutoff": True}) != default


def test_files_are_promised_and_known_by_content(tmp_path: Path) -> None:
    def maker(folder: str, text: str) -> Atomate2Maker:
        path = tmp_path / folder / "model"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return Atomate2Maker(
            maker=EmtRelaxMaker(calculator_kwargs={"model": str(path)}),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        )

    one, same, other = maker("a", "1"), maker("b", "1"), maker("c", "2")
    assert one.rule() == same.rule() != other.rule()
    assert identity(engine=one.identity()) == identity(engine=same.identity())
    with pytest.raises(ValueError, match=f"which may run code.*sha256: {one.sha256} to the opt"):
        replace(one, sha256=None).check(ALLOY)
    with pytest.raises(ValueError, match="was expected; not loaded"):
        replace(one, sha256=other.sha256).rule()


def test_what_a_machine_lacks_fails_the_job_and_not_the_label() -> None:
    vasp = engine(
        "atomate2.vasp.jobs.core:StaticMaker",
        calculation="static",
        kwargs={"run_vasp_kwargs": {"vasp_cmd": "no_such_program -n 4"}},
    )
    [line] = vasp.missing(ALLOY)
    assert line.startswith("the command 'no_such_program -n 4' of vasp is not found")
    with pytest.raises(FileNotFoundError, match="set VASP_CMD in"):
        label_of(vasp)
    absent = Atomate2Maker(maker=ForceFieldRelaxMaker(force_field_name="UPET"))
    assert absent.missing(ALLOY) == ["ForceFieldRelaxMaker needs the package upet; install it"]
    assert engine("atomate2.ase.jobs:EmtRelaxMaker").missing(ALLOY) == []


def test_powerups_change_the_maker() -> None:
    vasp = engine("atomate2.vasp.jobs.core:StaticMaker", calculation="static")
    changed = update_user_incar_settings(vasp, {"GGA": "PE", "ENCUT": 520})
    inputs: Any = changed.maker
    assert inputs.input_set_generator.user_incar_settings == {"GGA": "PE", "ENCUT": 520}
    assert settings_id(changed.rule()) != settings_id(vasp.rule())
