"""The panels of the paper's figures, and the documents that each is drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

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


def comparisons_of(documents: CampaignDocuments) -> list[Comparison]:
    """Return a comparison for every benchmark and every test set of it."""
    datasets = {d.checksum: d for d in documents.datasets}
    trainings = {d.model.sha256: d for d in documents.trainings}
    comparisons = []
    for bench in documents.benchmarks:
        training = trainings.get(bench.model.sha256) if bench.role != "foundation" else None
        dataset = datasets.get(training.dataset_checksum) if training else None
        comparisons += [
            Comparison(bench.name, bench, name, None, training, dataset) for name in bench.test_sets
        ]
    return comparisons


def _alloy(documents: CampaignDocuments) -> AlloySpec:
    if documents.alloy is None:
        msg = "no structures"
        raise ValueError(msg)
    return documents.alloy


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


def _needed(comparisons: list[Comparison], otherwise: str) -> list[Comparison]:
    if not comparisons:
        raise ValueError(otherwise)
    return comparisons


def _labels(documents: CampaignDocuments, test_set: str) -> list[LabelDoc]:
    """Return the labels of a test set and all end points; all labels where there is none of it."""
    if not documents.labels:
        msg = "no labels"
        raise ValueError(msg)
    ids = {k for d in documents.test_sets if d.name == test_set for k in d.members} or {
        e.structure_id
        for d in documents.structures
        if set_name(d.expression) == test_set
        for e in d.structures
        if len(e.counts) > 1
    }
    pool = documents.labels
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
    if documents.headline_thermodynamics is None:
        msg = "no thermodynamics"
        raise ValueError(msg)
    return documents.headline_thermodynamics


def _order(documents: CampaignDocuments) -> Figure:
    """Draw the newest Monte Carlo of relaxed energies, else the newest of any."""
    relaxed = [d for d in documents.montecarlo if d.mode == "relaxed"]
    if not documents.montecarlo:
        msg = "no Monte Carlo"
        raise ValueError(msg)
    return order_parameters((relaxed or documents.montecarlo)[-1])


def _sets(documents: CampaignDocuments) -> dict[str, StructuresDoc]:
    if not documents.structures:
        msg = "no structures"
        raise ValueError(msg)
    return {set_name(d.expression): d for d in documents.structures}


def _bars(comparisons: list[Comparison], quantity: Quantity) -> Figure:
    return error_bars(comparisons, _geometry(comparisons), quantity)


def _parity(comparisons: list[Comparison], quantity: Quantity) -> Figure:
    return parity_by_model(comparisons, _geometry(comparisons), quantity)


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


def _learning(comparisons: list[Comparison]) -> Figure:
    return learning_by_size(comparisons, _geometry(comparisons))


def _scatter(comparisons: list[Comparison]) -> Figure:
    return seed_scatter(comparisons, _geometry(comparisons))


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
    "2a": lambda d: _bars(_foundations(d), "total"),
    "2b": lambda d: _bars(_foundations(d), "mixing"),
    "2c": lambda d: _parity(_foundations(d), "total"),
    "2d": lambda d: _parity(_foundations(d), "mixing"),
    "3a": lambda d: _bars(_trained(d, binary=True), "total"),
    "3b": lambda d: _bars(_trained(d, binary=True), "mixing"),
    "3c": lambda d: _grid(_trained(d, binary=True)),
    "4a": lambda d: _learning(_trained(d, binary=False)),
    "4b": lambda d: sets_table(_sets(d)),
    "4c": lambda d: _scatter(_seeds(d)),
    "5a": lambda d: _bars(_trained(d, binary=False), "total"),
    "5b": lambda d: _bars(_trained(d, binary=False), "mixing"),
    "5c": lambda d: _parity(_trained(d, binary=False), "mixing"),
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
