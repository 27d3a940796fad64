"""One model on one test set, and the errors that the paper's figures show of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np

from hea_flows.alloy import stream
from hea_flows.alloy.errors import mae_by_group, mae_interval
from hea_flows.results.figures import energy_note
from hea_flows.schemas import BenchmarkDoc, DatasetDoc, Geometry, ParityPoint, TrainingDoc

Quantity = Literal["total", "mixing"]

QUANTITY_WORDS: dict[Quantity, str] = {"total": "total energy", "mixing": "mixing energy"}


@dataclass(frozen=True)
class Comparison:
    """A model and the test set that a figure shows it on.

    Those of one name are one model in a figure, trained with several seeds.

    Parameters
    ----------
    name
        Of the model, for example ``Model 4``.
    benchmark
        Its parity points.
    test_set
        Name of the test set; the points are those of the benchmark's test set of this name, if it
        has one.
    structure_ids
        The only structures that count; None: all.
    training
        How the model was trained; None for a foundation.
    dataset
        What the model was trained on (trajectories are not read).
    """

    name: str
    benchmark: BenchmarkDoc
    test_set: str = "all structures"
    structure_ids: frozenset[str] | None = None
    training: TrainingDoc | None = None
    dataset: DatasetDoc | None = None

    def __post_init__(self) -> None:
        if self.training is None:
            return
        trained, compared = self.training.model.checksum, self.benchmark.model.checksum
        if trained and compared and trained != compared:
            msg = (
                f"{self.name}: the benchmark is of the model {compared[:8]}, the training made "
                f"{trained[:8]}; give the benchmark of that model"
            )
            raise ValueError(msg)
        checksum = self.training.dataset_checksum
        if self.dataset is not None and self.dataset.checksum != checksum:
            msg = (
                f"{self.name}: it was trained on the dataset {checksum[:8]}, given is "
                f"{self.dataset.checksum[:8]}; give the dataset of its training"
            )
            raise ValueError(msg)

    def holds(self, structure_id: str) -> bool:
        """Return whether a structure counts."""
        return self.structure_ids is None or structure_id in self.structure_ids

    def points(self, geometry: Geometry) -> list[ParityPoint]:
        """Return the alloyed structures of the test set with finite energies."""
        return [p for p in self._alloyed(geometry) if _finite(p)]

    def lost(self, geometry: Geometry) -> int:
        """Return how many structures have no energy: failed relaxations, energies not finite."""
        failed = 0
        if geometry == "relaxed":
            failed = sum(map(self.holds, self.benchmark.failed))
            if self._named:
                tables = (t for t in self.benchmark.tables if t.geometry == geometry)
                failed = sum(t.n_failed for t in tables if t.test_set == self.test_set)
        return failed + sum(not _finite(p) for p in self._alloyed(geometry))

    def n_training_structures(self) -> int:
        """Return the number of alloyed structures in the training set; end points do not count.

        Raises
        ------
        ValueError
            If the comparison has no dataset document.
        """
        if self.dataset is None:
            msg = f"{self.name} has no dataset document; models are ordered by the size of theirs"
            raise ValueError(msg)
        entries = self.dataset.structures
        return sum(len(entries[key].counts) > 1 for key in self.dataset.n_frames)

    def _alloyed(self, geometry: Geometry) -> list[ParityPoint]:
        points = self.benchmark.points(geometry)
        if self._named:
            points = [p for p in points if p.test_set == self.test_set]
        return [p for p in points if p.n_components > 1 and self.holds(p.structure_id)]

    @property
    def _named(self) -> bool:
        return self.test_set in self.benchmark.test_sets


def _finite(p: ParityPoint) -> bool:
    return all(
        map(
            isfinite,
            (p.reference_energy, p.model_energy, p.reference_mixing_mev, p.model_mixing_mev),
        )
    )


def energies(point: ParityPoint, quantity: Quantity) -> tuple[float, float]:
    """Return reference and model energy: total in eV/unit, mixing in meV/unit."""
    if quantity == "total":
        return point.reference_energy, point.model_energy
    return point.reference_mixing_mev, point.model_mixing_mev


@dataclass(frozen=True)
class Errors:
    """Mean absolute errors of one quantity in one comparison (meV/unit).

    Parameters
    ----------
    mae, low, high
        Error of all structures with its 95 % bootstrap interval.
    n, n_training
        Number of structures, and how many of them the model was trained on.
    lost
        Structures without an energy; they are in no error.
    by_components
        Error per number of elements, ascending.
    """

    mae: float
    low: float
    high: float
    n: int
    n_training: int
    lost: int
    by_components: dict[int, float]


def errors_of(comparison: Comparison, geometry: Geometry, quantity: Quantity) -> Errors | None:
    """Return the errors as a benchmark's tables define them; None if no structure has energies.

    Over the structures of one part of a benchmark they are the numbers of its table.
    """
    points = comparison.points(geometry)
    if not points:
        return None
    pairs = np.array([energies(p, quantity) for p in points])
    reference, model = pairs.T * (1e3 if quantity == "total" else 1.0)
    rng = stream(comparison.benchmark.bootstrap_seed, "bootstrap")
    interval = mae_interval(model, reference, rng)
    groups = mae_by_group(model, reference, [p.n_components for p in points])
    return Errors(
        mae=interval.mean,
        low=interval.low,
        high=interval.high,
        n=len(points),
        n_training=sum(p.trained for p in points),
        lost=comparison.lost(geometry),
        by_components={n: groups[n] for n in sorted({p.n_components for p in points})},
    )


def over_seeds(values: Sequence[Errors]) -> tuple[float, float, float]:
    """Return the mean error with its range (meV/unit).

    The range is the bootstrap interval of a single model, and from the least to the greatest
    error of several seeds.
    """
    if len(values) == 1:
        return values[0].mae, values[0].low, values[0].high
    errors = [v.mae for v in values]
    return float(np.mean(errors)), min(errors), max(errors)


def model_names(comparisons: Iterable[Comparison]) -> list[str]:
    """Return the names of the models, each once, in the order given."""
    return list(dict.fromkeys(c.name for c in comparisons))


def test_set_names(comparisons: Iterable[Comparison]) -> list[str]:
    """Return the names of the test sets, each once, in the order given."""
    return list(dict.fromkeys(c.test_set for c in comparisons))


def comparison_note(comparisons: Sequence[Comparison], geometry: Geometry) -> str:
    """Return the line under a figure: which energies, which reference, what has none.

    Raises
    ------
    ValueError
        If there are no comparisons, or their references were calculated with different settings.
    """
    if not comparisons:
        msg = "no benchmarks given; this figure needs the benchmark of a model at least"
        raise ValueError(msg)
    if len(ids := sorted({c.benchmark.settings_id for c in comparisons})) > 1:
        msg = f"references of different settings are not compared; found {', '.join(ids)}"
        raise ValueError(msg)
    note = energy_note([c.benchmark for c in comparisons], geometry)
    note += f" Reference labels: {ids[0]}."
    once = {(c.benchmark.uuid, c.test_set): c for c in comparisons}
    if lost := sum(c.lost(geometry) for c in once.values()):
        note += f" Without an energy, and in no error: {lost} (failed relaxations)."
    return note
