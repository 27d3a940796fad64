"""Thermodynamics of a model and a reference that are regular solutions, in closed form."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import log, sqrt
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import kB
from counting import CALLS, FAIL, CountingFamily, CountingMaker, calls, energy
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import CampaignMaker, plugins
from hea_flows.alloy.sets.named import parse
from hea_flows.alloy.streams import stream
from hea_flows.alloy.thermodynamics.transition_interval import decomposition_temperature_interval
from hea_flows.config import Campaign, ThermodynamicsSpec, plan_campaign
from hea_flows.jobs import report
from hea_flows.jobs.learning.model_error import mixing_error
from hea_flows.jobs.sampling import energy_cache
from hea_flows.jobs.thermodynamics import maker
from hea_flows.jobs.thermodynamics.reference_phases import reference_phases
from hea_flows.results.store import documents
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import BenchmarkDoc, ModelSpec, ParityPoint, TestSetDoc, ThermodynamicsDoc

CAMPAIGN: dict[str, Any] = {
    "name": "phases",
    "alloy": {"elements": ["Mo", "Ta", "Nb"]},
    "labels": {"engine": "counting", "options": {"calculation": "relax"}},
    "model": {"family": "counted", "name": "two"},
    "benchmark": {"relaxed": False},
    "models": [{"name": "m", "set": "1(1)+2(2)", "seeds": [1]}],
    "test_sets": {"B": "3(3)+2(2)"},
    "thermodynamics": {
        "sqs": {2: "2x1", 3: "3x2"},
        "sqs_steps": 20,
        "random_supercell": "3x1",
        "n_random": 2,
        "mode": "fixed lattice",
        "sqs_labels": "reference",
    },
}
PHASES = {"Mo-Ta": 2, "Mo-Nb": 2, "Ta-Nb": 2, "Mo-Ta-Nb": 3}


CAMPAIGN_ALLOY = Campaign.model_validate(CAMPAIGN).alloy.to_alloy()


class Scaled(Calculator):
    """`energy` of a scale as an ASE calculator."""

    implemented_properties = ("energy",)

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def calculate(
        self, atoms: Atoms, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": energy(atoms, self.scale)}


class Family(CountingFamily):
    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Scaled:
        return Scaled(float(Path(spec.path).read_text()))


@pytest.fixture(autouse=True)
def _closed_forms(monkeypatch: pytest.MonkeyPatch, machine: Path) -> Iterator[None]:
    reference = {"counting": plugins.Row(CountingMaker)}
    models = {"counted": plugins.Row(Family)}
    monkeypatch.setattr(plugins.FAMILIES, "registered", models)
    monkeypatch.setattr(plugins.ENGINES, "registered", reference)
    monkeypatch.setattr(report, "build_page", lambda inputs: "")
    CALLS.clear()
    FAIL.clear()
    yield
    FAIL.clear()


def run(
    store: JobStore | None = None,
    composition: dict[str, float] | None = None,
    **thermodynamics: Any,
) -> tuple[JobStore, ThermodynamicsDoc]:
    """Run the campaign; return its store and its thermodynamics."""
    if store is None:
        store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
        store.connect()
    spec = CAMPAIGN["thermodynamics"] | thermodynamics
    alloy = CAMPAIGN["alloy"] | {"composition": composition or {}}
    made = Campaign.model_validate(CAMPAIGN | {"alloy": alloy, "thermodynamics": spec})
    flow = CampaignMaker.from_campaign(made).make(made, "")
    run_locally(flow, store=store, ensure_success=True, log=False)
    *_, found = documents(store, "thermodynamics")
    assert isinstance(found, ThermodynamicsDoc)
    return store, found


def mixing(n: int, scale: float) -> float:
    """Return the mixing energy (meV/unit) of n equal parts: 5 meV · scale · (1 − 1/n)."""
    return 5 * scale * (1 - 1 / n)


def temperature(scale: float) -> float:
    """Return the largest of the two crossings with the ternary (K)."""
    ends = mixing(3, scale) / log(3)
    pair = (mixing(3, scale) - 2 / 3 * mixing(2, scale)) / (log(3) - 2 / 3 * log(2))
    return 1e-3 * max(ends, pair) / kB


def test_sqs_from_model_and_reference_in_closed_form() -> None:
    store, found = run()
    [tuned] = documents(store, "training", load=True)
    scale = float(tuned.model_file.read().decode())
    assert found.sqs_mixing_mev == pytest.approx({k: mixing(n, scale) for k, n in PHASES.items()})
    assert found.decomposition_temperature == pytest.approx(temperature(scale))

    reference = found.reference
    assert reference is not None
    assert reference.sqs_mixing_mev == pytest.approx({k: mixing(n, 1) for k, n in PHASES.items()})
    assert reference.missing == {}
    assert reference.decomposition_temperature == pytest.approx(temperature(1))
    assert reference.h_hull_mev == 0
    assert reference.engine == "counting"
    # Cells of two units are those of 2(2): every structure is labelled once.
    labels = calls("label")
    assert set(labels.values()) == {1}
    assert len(labels) == 3 + 3 + len(parse("3(3)").build(CAMPAIGN_ALLOY)) + 1

    # All held-out structures are ternaries, wrong by the same energy.
    interval = found.uncertainty
    assert interval is not None
    n = len(parse("3(3)").build(CAMPAIGN_ALLOY))
    assert interval.sigma_from == f"RMSE of {n} held-out structures, fixed"
    assert interval.sigma_mev == pytest.approx(mixing(3, scale - 1))
    assert interval.low < temperature(scale) < interval.high
    [bench] = documents(store, "benchmark")
    sets = {d.uuid: d.expression for d in documents(store, "structures")}
    assert found.sources["benchmark"] == [bench.uuid]
    assert [sets[u] for u in found.sources["structures"]] == [
        "sqs(2x1, components=2, steps=20) + sqs(3x2, components=3, steps=20)"
    ]
    assert len(found.sources["reference"]) == 1


def test_the_labelled_cells_are_those_of_the_model_without_labels() -> None:
    store, labelled = run()
    _, alone = run(store, sqs_labels=None, uncertainty_mev=0.4)
    assert alone.reference is None
    assert alone.sqs_objective == labelled.sqs_objective
    assert alone.sqs_mixing_mev == pytest.approx(labelled.sqs_mixing_mev)
    interval = alone.uncertainty
    assert interval is not None
    assert (interval.sigma_mev, interval.sigma_from) == (0.4, "given by the campaign")


def test_a_phase_without_label_is_named_and_gives_no_temperature() -> None:
    FAIL.add("Mo2Nb2Ta2S12")
    _, found = run()
    assert found.reference is not None
    assert list(found.reference.missing) == ["Mo-Ta-Nb"]
    assert "it was asked to fail" in found.reference.missing["Mo-Ta-Nb"]
    assert set(found.reference.sqs_mixing_mev) == {"Mo-Ta", "Mo-Nb", "Ta-Nb"}
    assert found.reference.decomposition_temperature is None
    assert found.reference.transitions == []
    assert found.decomposition_temperature is not None


def test_static_and_unconverged_labels_are_no_enthalpies() -> None:
    store, _ = run()
    labels = next(d for d in documents(store, "test_set", load=True) if d.name == "SQS")
    assert isinstance(labels, TestSetDoc)
    orderings = parse(ThermodynamicsSpec(**CAMPAIGN["thermodynamics"]).sqs_set(3)).build(
        CAMPAIGN_ALLOY
    )
    phases = {tuple(e for e in ("Mo", "Ta", "Nb") if e in o.counts): o for o in orderings}
    ternary, tantalum = phases["Mo", "Ta", "Nb"].id, labels.end_points["Ta"]
    changed = labels.model_copy(
        update={
            "calculations": labels.calculations | {ternary: "static"},
            "converged": labels.converged | {tantalum: False},
        }
    )
    found = reference_phases(CAMPAIGN_ALLOY, phases, changed)
    assert found.sqs_mixing_mev == pytest.approx({"Mo-Nb": mixing(2, 1)})
    assert found.missing == {
        "Mo-Ta": "end member of Ta: its relaxation did not converge",
        "Ta-Nb": "end member of Ta: its relaxation did not converge",
        "Mo-Ta-Nb": "end member of Ta: its relaxation did not converge",
    }
    only = labels.model_copy(update={"calculations": labels.calculations | {ternary: "static"}})
    assert reference_phases(CAMPAIGN_ALLOY, phases, only).missing == {
        "Mo-Ta-Nb": "its label is no relaxation"
    }


def point(key: str, error: float, *, trained: bool = False, n: int = 2) -> ParityPoint:
    return ParityPoint(
        structure_id=key,
        formula="",
        n_components=n,
        test_set="B",
        trained=trained,
        reference_energy=0,
        model_energy=0,
        reference_mixing_mev=7.0,
        model_mixing_mev=7.0 + error,
    )


def bench(fixed: list[ParityPoint], relaxed: list[ParityPoint]) -> BenchmarkDoc:
    return BenchmarkDoc.model_construct(fixed=fixed, relaxed=relaxed)


def test_the_error_is_that_of_structures_that_are_new_each_once() -> None:
    fixed = [point("a", 3), point("a", 3), point("b", 4), point("c", 90, trained=True)]
    fixed += [point("d", 50, n=1), point("e", float("nan"))]
    doc = bench(fixed, [point("a", 1)])
    expected = pytest.approx(sqrt((9 + 16) / 2))
    assert mixing_error(doc, "fixed lattice") == (
        expected,
        "RMSE of 2 held-out structures, fixed",
    )
    assert mixing_error(doc, "relaxed") == (1.0, "RMSE of 1 held-out structures, relaxed")
    assert mixing_error(bench(fixed, []), "relaxed") == (
        expected,
        "RMSE of 2 held-out structures, fixed",
    )
    assert mixing_error(bench(fixed[3:], []), "relaxed") is None
    assert mixing_error(None, "relaxed") is None


def test_the_set_of_a_spec_and_what_it_lacks() -> None:
    spec = ThermodynamicsSpec(sqs={2: "4x4", 3: "9"}, sqs_steps=100)  # a cell, or a size
    assert spec.sqs_set(3) == "sqs(4x4, components=2, steps=100) + sqs(9, components=3, steps=100)"
    with pytest.raises(ValueError, match="no supercell for the SQS of 4 elements"):
        spec.sqs_set(5)
    changed = CAMPAIGN | {"labels": {"engine": "counting", "options": {"calculation": "static"}}}
    with pytest.raises(ValueError, match="sqs_labels are static"):
        Campaign.model_validate(changed)
    with pytest.raises(ValueError, match="vibrations are those of relaxed structures"):
        ThermodynamicsSpec(mode="fixed lattice", vibrations={})
    one = CAMPAIGN | {"alloy": {"elements": ["Mo"]}}
    with pytest.raises(ValueError, match="two elements or more, got Mo"):
        Campaign.model_validate(one)


def test_sqs_are_a_set_of_the_plan_labelled_as_told() -> None:
    work = plan_campaign(Campaign.model_validate(CAMPAIGN))
    assert work.sqs is not None
    assert work.sqs.uses == ["SQS"]
    assert work.sqs.labels.engine == "counting"
    own = CAMPAIGN["thermodynamics"] | {"sqs_labels": {"engine": "archive"}}
    work = plan_campaign(Campaign.model_validate(CAMPAIGN | {"thermodynamics": own}))
    assert work.sqs is not None
    assert work.sqs.labels.engine == "archive"
    none = CAMPAIGN["thermodynamics"] | {"sqs_labels": None}
    assert plan_campaign(Campaign.model_validate(CAMPAIGN | {"thermodynamics": none})).sqs is None


def test_interval_of_the_document_is_the_alloys() -> None:
    _, found = run(uncertainty_mev=0.4)
    interval = found.uncertainty
    assert interval is not None
    table = {tuple(k.split("-")): 1e-3 * v for k, v in found.sqs_mixing_mev.items()}
    again = decomposition_temperature_interval(
        found.elements, table, 4e-4, stream(interval.seed, "interval"), interval.n_draws
    )
    assert (interval.low, interval.median, interval.high) == pytest.approx(
        (again.low, again.median, again.high)
    )


def test_vibrations_without_phonopy_are_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "phonopy", None)
    spec = CAMPAIGN["thermodynamics"] | {"mode": "relaxed", "vibrations": {}}
    made = Campaign.model_validate(CAMPAIGN | {"thermodynamics": spec})
    with pytest.raises(ModuleNotFoundError, match="pip install 'hea-flows\\[phonons\\]'"):
        CampaignMaker.from_campaign(made)


def test_a_cell_that_fails_loses_its_phase_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: CountingFamily, spec: ModelSpec, atoms_list: Any, **_: Any) -> Any:
        if any(a.get_chemical_formula() == "Mo2Nb2S8" for a in atoms_list):
            msg = "no such bond"
            raise RuntimeError(msg)
        return whole(self, spec, atoms_list)

    whole = CountingFamily.evaluate
    monkeypatch.setattr(Family, "evaluate", broken)
    store, found = run(sqs_labels=None, uncertainty_mev=1.0, sqs={2: "4x1", 3: "3x2"})
    [tuned] = documents(store, "training", load=True)
    scale = float(tuned.model_file.read().decode())
    left = {k: mixing(n, scale) for k, n in PHASES.items() if k != "Mo-Nb"}
    assert found.sqs_mixing_mev == pytest.approx(left)
    assert found.failed == {"Mo-Nb": "no such bond"}
    assert [d for d in found.decompositions if ("Mo", "Nb") in d.phases] == []
    assert found.decomposition_temperature == pytest.approx(temperature(scale))
    assert found.uncertainty is None


def test_energies_that_are_known_are_not_computed_again(machine: Path) -> None:
    store, first = run(sqs_labels=None)
    [path] = (machine / "energies").rglob("*.json")
    before = path.stat().st_mtime_ns
    _, again = run(store, sqs_labels=None)
    assert again.uuid != first.uuid
    assert path.stat().st_mtime_ns == before
    assert again.sqs_mixing_mev == first.sqs_mixing_mev
    assert again.random_mixing_mev == first.random_mixing_mev


def test_a_job_that_is_stopped_by_its_time_limit_adds_itself_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = iter([1.0])
    monkeypatch.setattr(energy_cache, "seconds_left", lambda: next(left, 1e6))
    monkeypatch.setattr(OutOfTimeError, "happened", False)
    store, found = run()
    assert OutOfTimeError.happened
    [tuned] = documents(store, "training", load=True)
    assert found.sources["training"] == [tuned.uuid]
    assert found.reference is not None
    assert found.uncertainty is not None


def test_an_alloy_of_unequal_parts_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases at the alloy's own ratios; random cells that hold another composition are said."""
    monkeypatch.setattr(maker, "N_MIXTURES", 10)
    shares = {"Mo": 0.5, "Ta": 0.25, "Nb": 0.25}
    store, found = run(
        composition=shares,
        sqs={2: "6x1", 3: "4x1"},
        random_supercell="5x1",
        uncertainty_mev=0.0,
    )
    [tuned] = documents(store, "training", load=True)
    scale = float(tuned.model_file.read().decode())

    def enthalpy(*x: float) -> float:
        return 5 * scale * (1 - sum(a * a for a in x))

    assert found.composition == shares
    assert found.sqs_counts == {
        "Mo-Ta": {"Mo": 4, "Ta": 2},
        "Mo-Nb": {"Mo": 4, "Nb": 2},
        "Ta-Nb": {"Nb": 3, "Ta": 3},
        "Mo-Ta-Nb": {"Mo": 2, "Nb": 1, "Ta": 1},
    }
    assert found.random_counts == {"Mo": 3, "Ta": 1, "Nb": 1}
    pair, ternary = enthalpy(2 / 3, 1 / 3), enthalpy(0.5, 0.25, 0.25)
    assert found.sqs_mixing_mev == pytest.approx(
        {"Mo-Ta": pair, "Mo-Nb": pair, "Ta-Nb": enthalpy(0.5, 0.5), "Mo-Ta-Nb": ternary}
    )
    # Regular solution of one parameter: the ends, a pair with an end, or two pairs with the rest.
    entropy = -sum(x * log(x) for x in shares.values())
    of_pair = -2 / 3 * log(2 / 3) - 1 / 3 * log(1 / 3)
    others = [(0, 0), (0.5 * enthalpy(0.5, 0.5), 0.5 * log(2)), (0.75 * pair, 0.75 * of_pair)]
    expected = max((ternary - h) / (entropy - s) for h, s in others)
    assert found.decomposition_temperature == pytest.approx(1e-3 * expected / kB)
    assert found.reference is not None
    assert found.reference.decomposition_temperature == pytest.approx(1e-3 * expected / scale / kB)
    assert found.random_mixing_mev == pytest.approx([enthalpy(0.6, 0.2, 0.2)] * 2)
    assert found.h_hull_mev == 0
    interval = found.uncertainty
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((found.decomposition_temperature,) * 2)
    assert "5 sites hold Mo 3, Ta 1, Nb 1" in str(found.headline())
