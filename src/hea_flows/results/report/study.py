"""The figures that compare models: the paper's panels, overlap of sets, calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from matplotlib.figure import Figure

from hea_flows.results.figures import GEOMETRY_WORDS, calibration_figure, overlap_matrix
from hea_flows.results.paper import PANELS
from hea_flows.results.store import CampaignDocuments, committee_on, group_seeds
from hea_flows.schemas import Geometry

#: Panels of the paper that compare models, and what they show.
_CAPTIONS = {
    "2a": "Total-energy errors of foundations, by test set.",
    "2b": "Mixing-energy errors of foundations, by test set.",
    "2c": "Total energies of foundations against the reference.",
    "2d": "Mixing energies of foundations against the reference.",
    "3a": "Total-energy errors of models trained on one pair of elements.",
    "3b": "Mixing-energy errors of models trained on one pair of elements.",
    "3c": "Mixing energies of models trained on one pair of elements against the reference.",
    "4a": "Mixing-energy errors against the size of the training set.",
    "4b": "The sets of the study.",
    "4c": "Scatter of mixing-energy errors over seeds.",
    "5a": "Total-energy errors of trained models, by test set.",
    "5b": "Mixing-energy errors of trained models, by test set.",
    "5c": "Mixing energies of trained models against the reference.",
}


def is_study(documents: CampaignDocuments) -> bool:
    """Return whether several models of a kind are compared."""
    names = {(b.name, b.role == "foundation") for b in documents.benchmarks}
    return any(sum(f is kind for _, f in names) > 1 for kind in (True, False)) or bool(
        group_seeds(documents.benchmarks)
    )


def study_figures(documents: CampaignDocuments) -> Iterator[tuple[str, str, Figure]]:
    """Yield name, caption and figure of everything that the documents of a study hold."""
    drawers: dict[str, tuple[str, Callable[[CampaignDocuments], Figure]]] = {
        **{f"figure {panel}": (text, PANELS[panel]) for panel, text in _CAPTIONS.items()},
        "overlap": ("Structures that test sets share with training sets.", overlap),
        "calibration": ("Spread over seeds against the error of the mean.", calibration),
    }
    for name, (caption, draw) in drawers.items():
        try:
            figure = draw(documents)
        except ValueError:  # the documents do not hold what it shows
            continue
        yield name, caption, figure


def overlap(documents: CampaignDocuments) -> Figure:
    """Draw which test sets share how many structures with which training sets.

    Raises
    ------
    ValueError
        If there are no test sets or no trained models.
    """
    test_sets = {d.name: set(d.members) for d in documents.test_sets}
    datasets = {d.checksum: d for d in documents.datasets}
    training = {
        t.name: set(datasets[t.dataset_checksum].n_frames)
        for t in documents.trainings
        if t.dataset_checksum in datasets
    }
    return overlap_matrix(test_sets, training)


def calibration(documents: CampaignDocuments) -> Figure:
    """Draw whether the spread of the model with most seeds predicts its error, by test set.

    Raises
    ------
    ValueError
        If no model has several seeds.
    """
    groups = group_seeds(documents.benchmarks)
    if not groups:
        msg = "no model trained with several seeds"
        raise ValueError(msg)
    name, members = max(groups.items(), key=lambda item: len(item[1]))
    geometry: Geometry = "relaxed" if all(b.relaxed for b in members) else "fixed"
    committees = {
        test_set: committee
        for test_set in members[0].test_sets
        if (committee := committee_on(members, test_set, geometry)) is not None
        and committee.spread.all()
    }
    return calibration_figure(committees, f"{name}. Energies: {GEOMETRY_WORDS[geometry]}.")
