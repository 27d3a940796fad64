"""Which documents of campaigns make which panel of the paper's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sets import parse, set_name
from hea_flows.results.paper.errors import error_bars, learning_by_size, seed_scatter
from hea_flows.results.paper.mixing import binary_mixing, component_violins
from hea_flows.results.paper.parity import parity_by_model, parity_grid
from hea_flows.results.paper.structures import cell_views, enumeration_table, sets_table
from hea_flows.results.paper.study import Quantity, Study
from hea_flows.results.report.inputs import Geometry, ReportInputs, headline_thermodynamics
from hea_flows.results.report.phase_figures import gibbs_energy, order_parameters, random_energies
from hea_flows.schemas import (
    AlloySpec,
    LabelDoc,
    StructuresDoc,
    ThermodynamicsDoc,
)


def studies_of(inputs: ReportInputs) -> list[Study]:
    """Return a study for every benchmark and every test set of it, as the campaign names them."""
    datasets = {d.checksum: d for d in inputs.datasets}
    tunings = {d.model.sha256: d for d in inputs.trainings}
    studies = []
    for bench in inputs.benchmarks:
        tuning = tunings.get(bench.model.sha256) if bench.role != "foundation" else None
        dataset = datasets.get(tuning.dataset_checksum) if tuning else None
        studies += [
            Study(bench.name, bench, name, None, tuning, dataset) for name in bench.test_sets
        ]
    return studies


def _alloy(inputs: ReportInputs) -> AlloySpec:
    if inputs.alloy is None:
        msg = "no structures"
        raise ValueError(msg)
    return inputs.alloy


def _geometry(studies: Sequence[Study]) -> Geometry:
    """Return relaxed where every study has relaxed energies, else fixed; never both."""
    return "relaxed" if all(s.benchmark.relaxed for s in studies) else "fixed"


def _foundations(inputs: ReportInputs) -> list[Study]:
    return _needed(
        [s for s in studies_of(inputs) if s.benchmark.role == "foundation"],
        "no benchmark of a foundation model",
    )


def _tuned(inputs: ReportInputs, *, binary: bool) -> list[Study]:
    """Return fine-tuned models trained on the structures of one pair of elements, or the others."""
    studies = [s for s in studies_of(inputs) if s.dataset is not None]
    chosen = [s for s in studies if (_n_trained_elements(s) == 2) == binary]
    kind = "one pair of elements" if binary else "more than one pair of elements"
    return _needed(chosen, f"no benchmark of a model fine-tuned on alloys of {kind}")


def _n_trained_elements(study: Study) -> int:
    assert study.dataset is not None
    entries = [study.dataset.structures[key] for key in study.dataset.n_frames]
    return len({el for e in entries if len(e.counts) > 1 for el in e.counts})


def _seeds(inputs: ReportInputs) -> list[Study]:
    studies = _tuned(inputs, binary=False)
    models = {(s.label, s.benchmark.uuid) for s in studies}
    several = {label for label, n in Counter(label for label, _ in models).items() if n > 1}
    return _needed(
        [s for s in studies if s.label in several], "no model fine-tuned with several seeds"
    )


def _needed(studies: list[Study], otherwise: str) -> list[Study]:
    if not studies:
        raise ValueError(otherwise)
    return studies


def _labels(inputs: ReportInputs, test_set: str) -> list[LabelDoc]:
    """Return the labels of a test set and all end points; all labels where there is none of it."""
    if not inputs.labels:
        msg = "no labels"
        raise ValueError(msg)
    ids = {k for d in inputs.test_sets if d.name == test_set for k in d.members} or {
        e.structure_id
        for d in inputs.structures
        if set_name(d.expression) == test_set
        for e in d.structures
        if len(e.counts) > 1
    }
    pool = inputs.labels
    chosen = [x for x in pool if len(x.structure.counts) == 1 or x.structure.structure_id in ids]
    return chosen if any(len(x.structure.counts) > 1 for x in chosen) else pool


def _cell(inputs: ReportInputs) -> Figure:
    """Draw the hottest Monte Carlo chain of most sites, or the structure of most elements."""
    if inputs.montecarlo:
        doc = max(inputs.montecarlo, key=lambda d: d.n_sites)
        species = tuple(doc.chains[-1].initial_species)
        ordering = Ordering(doc.alloy.to_alloy(), doc.supercell, species)
        return cell_views(ordering, doc.lattice_constant)
    alloy = _alloy(inputs).to_alloy()
    entries = [e for d in inputs.structures for e in d.structures]
    entry = max(entries, key=lambda e: (len(e.counts), len(e.species)))
    return cell_views(Ordering(alloy, entry.supercell, entry.species))


def _thermodynamics(inputs: ReportInputs) -> ThermodynamicsDoc:
    found = headline_thermodynamics(inputs)
    if found is None:
        msg = "no thermodynamics"
        raise ValueError(msg)
    return found


def _order(inputs: ReportInputs) -> Figure:
    """Draw the newest Monte Carlo of relaxed energies, else the newest of any."""
    relaxed = [d for d in inputs.montecarlo if d.mode == "relaxed"]
    if not inputs.montecarlo:
        msg = "no Monte Carlo"
        raise ValueError(msg)
    return order_parameters((relaxed or inputs.montecarlo)[-1])


def _sets(inputs: ReportInputs) -> dict[str, StructuresDoc]:
    if not inputs.structures:
        msg = "no structures"
        raise ValueError(msg)
    return {set_name(d.expression): d for d in inputs.structures}


def _bars(studies: list[Study], quantity: Quantity) -> Figure:
    return error_bars(studies, _geometry(studies), quantity)


def _parity(studies: list[Study], quantity: Quantity) -> Figure:
    return parity_by_model(studies, _geometry(studies), quantity)


def _grid(studies: list[Study]) -> Figure:
    return parity_grid(studies, _geometry(studies), "mixing", _kinds(studies))


def _kinds(studies: list[Study]) -> dict[str, str] | None:
    """Return which models were trained on random and which on enumerated structures, if both."""
    kinds = {}
    for study in studies:
        assert study.dataset is not None
        entries = study.dataset.structures.values()
        origins = {e.origin for e in entries if len(e.counts) > 1}
        kinds[study.label] = "random" if any(map(_drawn, origins)) else "enumerated"
    return kinds if len(set(kinds.values())) > 1 else None


def _drawn(expression: str) -> bool:
    """Return whether structures of a set are drawn at random; sets of other notations are not."""
    try:
        return "random(" in parse(expression).canonical
    except ValueError:
        return False


def _learning(studies: list[Study]) -> Figure:
    return learning_by_size(studies, _geometry(studies))


def _scatter(studies: list[Study]) -> Figure:
    return seed_scatter(studies, _geometry(studies))


def _enumeration(inputs: ReportInputs) -> Figure:
    documents = list(_sets(inputs).values())
    entries = {e.structure_id: e for d in documents for e in d.structures}
    enumerated = [e for e in entries.values() if not _drawn(e.origin)]
    expression = " + ".join(d.expression for d in documents if not _drawn(d.expression))
    update = {"structures": enumerated, "expression": expression, "n_structures": len(enumerated)}
    return enumeration_table(documents[0].model_copy(update=update))


#: Panel of the paper to what draws it; each raises a `ValueError` that says what is missing.
PANELS: dict[str, Callable[[ReportInputs], Figure]] = {
    "1a": _cell,
    "1b": lambda i: binary_mixing(_labels(i, "Database 1"), _alloy(i).elements),
    "1c": lambda i: component_violins(_labels(i, "Database 2")),
    "1d": _enumeration,
    "2a": lambda i: _bars(_foundations(i), "total"),
    "2b": lambda i: _bars(_foundations(i), "mixing"),
    "2c": lambda i: _parity(_foundations(i), "total"),
    "2d": lambda i: _parity(_foundations(i), "mixing"),
    "3a": lambda i: _bars(_tuned(i, binary=True), "total"),
    "3b": lambda i: _bars(_tuned(i, binary=True), "mixing"),
    "3c": lambda i: _grid(_tuned(i, binary=True)),
    "4a": lambda i: _learning(_tuned(i, binary=False)),
    "4b": lambda i: sets_table(_sets(i)),
    "4c": lambda i: _scatter(_seeds(i)),
    "5a": lambda i: _bars(_tuned(i, binary=False), "total"),
    "5b": lambda i: _bars(_tuned(i, binary=False), "mixing"),
    "5c": lambda i: _parity(_tuned(i, binary=False), "mixing"),
    "6a": lambda i: gibbs_energy(_thermodynamics(i), _alloy(i)),
    "6b": lambda i: random_energies(_thermodynamics(i)),
    "6c": _order,
}


def draw_panel(which: str, inputs: ReportInputs) -> Figure:
    """Draw one panel of the paper's figures from the documents of campaigns.

    Raises
    ------
    ValueError
        If there is no such panel, or the documents do not hold what it shows.
    """
    if which not in PANELS:
        msg = f"no panel {which!r}; accepted: {', '.join(PANELS)}"
        raise ValueError(msg)
    return PANELS[which](inputs)
