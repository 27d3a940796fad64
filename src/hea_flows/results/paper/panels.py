"""The panels of the paper's figures, and the documents that each is drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from matplotlib.figure import Figure

from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sets import parse, set_name
from hea_flows.results.figures import gibbs_energy, order_parameters, random_energies
from hea_flows.results.paper.bars import error_bars, learning_by_size, seed_scatter
from hea_flows.results.paper.comparison import Comparison, Quantity
from hea_flows.results.paper.mixing import binary_mixing, component_violins
from hea_flows.results.paper.parity import parity_by_model, parity_grid
from hea_flows.results.paper.structures import cell_views, enumeration_table, sets_table
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import AlloySpec, Geometry, LabelDoc, StructuresDoc, ThermodynamicsDoc

T = TypeVar("T")


def comparisons_of(documents: CampaignDocuments) -> list[Comparison]:
    """Return a comparison for every benchmark and every test set of it."""
    datasets = {d.checksum: d for d in documents.datasets}
    trainings = {d.model.checksum: d for d in documents.trainings}
    comparisons = []
    for bench in documents.benchmarks:
        training = trainings.get(bench.model.checksum) if bench.role != "foundation" else None
        dataset = datasets.get(training.dataset_checksum) if training else None
        comparisons += [
            Comparison(bench.name, bench, name, None, training, dataset) for name in bench.test_sets
        ]
    return comparisons


def _needed(value: T | None, otherwise: str) -> T:
    """Return what a panel needs, or say what is missing."""
    if not value:
        raise ValueError(otherwise)
    return value


def _alloy(documents: CampaignDocuments) -> AlloySpec:
    return _needed(documents.alloy, "no structures")


def _geometry(comparisons: Sequence[Comparison]) -> Geometry:
    """Return relaxed where every comparison has relaxed energies, else fixed; never both."""
    return "relaxed" if all(s.benchmark.relaxed for s in comparisons) else "fixed"


def _foundations(documents: CampaignDocuments) -> list[Comparison]:
    return _needed(
        [s for s in comparisons_of(documents) if s.benchmark.role == "foundation"],
        "no benchmark of a foundation model",
    )


def _trained(documents: CampaignDocuments, *, binary: bool) -> list[Comparison]:
    """Return fine-tuned models trained on the structures of one pair of elements, or the others."""
    comparisons = [s for s in comparisons_of(documents) if s.dataset is not None]
    chosen = [s for s in comparisons if (_n_trained_elements(s) == 2) == binary]
    kind = "one pair of elements" if binary else "more than one pair of elements"
    return _needed(chosen, f"no benchmark of a model fine-tuned on alloys of {kind}")


def _n_trained_elements(comparison: Comparison) -> int:
    assert comparison.dataset is not None
    entries = [comparison.dataset.structures[key] for key in comparison.dataset.n_frames]
    return len({el for e in entries if len(e.counts) > 1 for el in e.counts})


def _seeds(documents: CampaignDocuments) -> list[Comparison]:
    comparisons = _trained(documents, binary=False)
    models = {(c.name, c.benchmark.uuid) for c in comparisons}
    several = {name for name, n in Counter(name for name, _ in models).items() if n > 1}
    return _needed(
        [c for c in comparisons if c.name in several], "no model fine-tuned with several seeds"
    )


def _labels(documents: CampaignDocuments, test_set: str) -> list[LabelDoc]:
    """Return the labels of a test set and all end points; all labels where there is none of it."""
    pool = _needed(documents.labels, "no labels")
    ids = {k for d in documents.test_sets if d.name == test_set for k in d.members} or {
        e.structure_id
        for d in documents.structures
        if set_name(d.expression) == test_set
        for e in d.structures
        if len(e.counts) > 1
    }
    chosen = [x for x in pool if len(x.structure.counts) == 1 or x.structure.structure_id in ids]
    return chosen if any(len(x.structure.counts) > 1 for x in chosen) else pool


def _cell(documents: CampaignDocuments) -> Figure:
    """Draw the hottest Monte Carlo chain of most sites, or the structure of most elements."""
    if documents.montecarlo:
        doc = max(documents.montecarlo, key=lambda d: d.n_sites)
        species = tuple(doc.chains[-1].initial_species)
        ordering = Ordering(doc.alloy.to_alloy(), doc.supercell, species)
        return cell_views(ordering, doc.lattice_constant)
    alloy = _alloy(documents).to_alloy()
    entries = [e for d in documents.structures for e in d.structures]
    entry = max(entries, key=lambda e: (len(e.counts), len(e.species)))
    return cell_views(Ordering(alloy, entry.supercell, entry.species))


def _thermodynamics(documents: CampaignDocuments) -> ThermodynamicsDoc:
    return _needed(documents.headline_thermodynamics, "no thermodynamics")


def _order(documents: CampaignDocuments) -> Figure:
    """Draw the newest Monte Carlo of relaxed energies, else the newest of any."""
    pool = _needed(documents.montecarlo, "no Monte Carlo")
    return order_parameters(([d for d in pool if d.mode == "relaxed"] or pool)[-1])


def _sets(documents: CampaignDocuments) -> dict[str, StructuresDoc]:
    return {set_name(d.expression): d for d in _needed(documents.structures, "no structures")}


def _compare(
    draw: Callable[..., Figure], comparisons: list[Comparison], *quantity: Quantity
) -> Figure:
    """Draw models at the geometry that all of them have energies at."""
    return draw(comparisons, _geometry(comparisons), *quantity)


def _grid(comparisons: list[Comparison]) -> Figure:
    return parity_grid(comparisons, _geometry(comparisons), "mixing", _kinds(comparisons))


def _kinds(comparisons: list[Comparison]) -> dict[str, str] | None:
    """Return which models were trained on random and which on enumerated structures, if both."""
    kinds = {}
    for comparison in comparisons:
        assert comparison.dataset is not None
        entries = comparison.dataset.structures.values()
        origins = {e.origin for e in entries if len(e.counts) > 1}
        kinds[comparison.name] = "random" if any(map(_drawn, origins)) else "enumerated"
    return kinds if len(set(kinds.values())) > 1 else None


def _drawn(expression: str) -> bool:
    """Return whether structures of a set are drawn at random; sets of other notations are not."""
    try:
        return "random(" in parse(expression).canonical
    except ValueError:
        return False


def _enumeration(documents: CampaignDocuments) -> Figure:
    sets = list(_sets(documents).values())
    entries = {e.structure_id: e for d in sets for e in d.structures}
    enumerated = [e for e in entries.values() if not _drawn(e.origin)]
    expression = " + ".join(d.expression for d in sets if not _drawn(d.expression))
    update = {"structures": enumerated, "expression": expression, "n_structures": len(enumerated)}
    return enumeration_table(sets[0].model_copy(update=update))


#: Panel of the paper to what draws it; each raises a `ValueError` that says what is missing.
PANELS: dict[str, Callable[[CampaignDocuments], Figure]] = {
    "1a": _cell,
    "1b": lambda d: binary_mixing(_labels(d, "Database 1"), _alloy(d).elements),
    "1c": lambda d: component_violins(_labels(d, "Database 2")),
    "1d": _enumeration,
    "2a": lambda d: _compare(error_bars, _foundations(d), "total"),
    "2b": lambda d: _compare(error_bars, _foundations(d), "mixing"),
    "2c": lambda d: _compare(parity_by_model, _foundations(d), "total"),
    "2d": lambda d: _compare(parity_by_model, _foundations(d), "mixing"),
    "3a": lambda d: _compare(error_bars, _trained(d, binary=True), "total"),
    "3b": lambda d: _compare(error_bars, _trained(d, binary=True), "mixing"),
    "3c": lambda d: _grid(_trained(d, binary=True)),
    "4a": lambda d: _compare(learning_by_size, _trained(d, binary=False)),
    "4b": lambda d: sets_table(_sets(d)),
    "4c": lambda d: _compare(seed_scatter, _seeds(d)),
    "5a": lambda d: _compare(error_bars, _trained(d, binary=False), "total"),
    "5b": lambda d: _compare(error_bars, _trained(d, binary=False), "mixing"),
    "5c": lambda d: _compare(parity_by_model, _trained(d, binary=False), "mixing"),
    "6a": lambda d: gibbs_energy(_thermodynamics(d), _alloy(d)),
    "6b": lambda d: random_energies(_thermodynamics(d)),
    "6c": _order,
}


def draw_panel(which: str, documents: CampaignDocuments) -> Figure:
    """Draw one panel of the paper's figures from the documents of campaigns.

    Raises
    ------
    ValueError
        If there is no such panel, or the documents do not hold what it shows.
    """
    if which not in PANELS:
        msg = f"no panel {which!r}; accepted: {', '.join(PANELS)}"
        raise ValueError(msg)
    return PANELS[which](documents)
