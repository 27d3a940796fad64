"""What a model says of test sets: parity points, errors on new frames, failed relaxations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from hea_flows.alloy.thermodynamics import apply_offsets, composition_matrix, mixing_energies
from hea_flows.config import BenchmarkSpec
from hea_flows.jobs.learning.offsets import offsets_between
from hea_flows.potentials import Prediction, family, relaxer
from hea_flows.schemas import ErrorSummary, ModelSpec, ParityPoint, TestSetDoc
from hea_flows.settings import get_settings


@dataclass
class Evaluation:
    """One model on several test sets; a label that several hold is evaluated once.

    Parameters
    ----------
    model
        The model, verified.
    test_sets
        What it is compared with.
    given_offsets
        Energy per element, reference minus model (eV); None: those of the end points.
    trained
        Ids of structures that it was trained on.
    """

    model: ModelSpec
    test_sets: list[TestSetDoc]
    given_offsets: dict[str, float] | None
    trained: set[str]
    offsets: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Read the labelled frames."""
        self.device = get_settings().device
        self.frames: dict[tuple[str, str], list[Atoms]] = {}
        self.predictions: dict[tuple[str, str], list[Prediction]] = {}
        for d in self.test_sets:
            for k, trajectory in d.trajectories.items():
                if (k, d.labels[k]) not in self.frames:
                    self.frames[k, d.labels[k]] = trajectory.to_frames()

    def fixed(self) -> list[ParityPoint]:
        """Evaluate the labelled frames; points are those of the last one of every label."""
        flat = [frame for frames in self.frames.values() for frame in frames]
        predictions = iter(family(self.model.family).evaluate(self.model, flat, device=self.device))
        self.predictions = {
            k: [next(predictions) for _ in frames] for k, frames in self.frames.items()
        }
        predicted = {key: of_label[-1].energy for key, of_label in self.predictions.items()}
        self.offsets = self.given_offsets or self._of_end_points(predicted)
        return [point for d in self.test_sets for point in self._points(d, predicted)]

    def new_frames(self, d: TestSetDoc) -> ErrorSummary | None:
        """Return errors on all labelled frames of structures that the model was not trained on."""
        energy: list[float] = []
        forces: list[NDArray[np.float64]] = []
        stress: list[NDArray[np.float64]] = []
        for k in d.members:
            if k in self.trained:
                continue
            key = (k, d.labels[k])
            for frame, prediction in zip(self.frames[key], self.predictions[key], strict=True):
                results = frame.calc.results
                shift = sum(self.offsets[s] for s in frame.get_chemical_symbols())
                energy.append((prediction.energy + shift - results["energy"]) / len(frame))
                forces.append((prediction.forces - results["forces"]).ravel())
                difference = voigt_6_to_full_3x3_stress(prediction.stress - results["stress"])
                stress.append(difference.ravel())
        if not energy:
            return None
        return ErrorSummary(
            n_frames=len(energy),
            energy_mev=1e3 * _rms([np.array(energy)]),
            forces_mev=1e3 * _rms(forces),
            stress=_rms(stress),
        )

    def relaxed(self, spec: BenchmarkSpec) -> tuple[list[ParityPoint], dict[str, str]]:
        """Relax every structure whose reference converged; return points and failures."""
        chosen = [d for d in self.test_sets if d.relaxed]
        wanted = {
            (k, d.labels[k]): d.converged[k] and len(self.frames[k, d.labels[k]]) > 1
            for d in chosen
            for k in (*d.members, *d.end_points.values())
        }
        ends = {(k, d.labels[k]) for d in chosen for k in d.end_points.values()}
        keys = [key for key, moves in wanted.items() if moves or key in ends]
        relaxed = relaxer(self.model, fmax=spec.fmax, max_steps=spec.max_steps, device=self.device)
        told = dict(zip(keys, relaxed([self.frames[key][0] for key in keys]), strict=True))
        energies = {key: o for key, o in told.items() if not isinstance(o, str)}
        failed = {key[0]: o for key, o in told.items() if isinstance(o, str)}
        points: list[ParityPoint] = []
        for d in chosen:
            if lost := [e for e, k in d.end_points.items() if k in failed]:
                # Without its end points no mixing energy can be told; the fixed part stands.
                why = f"end point of {', '.join(lost)} did not relax"
                failed |= {k: why for k in d.members if (k, d.labels[k]) in energies}
            else:
                points += self._points(d, energies)
        return points, failed

    def _of_end_points(self, predicted: dict[tuple[str, str], float]) -> dict[str, float]:
        d = self.test_sets[0]
        keys = [(k, d.labels[k]) for k in d.end_points.values()]
        return offsets_between([self.frames[k][-1] for k in keys], [predicted[k] for k in keys])

    def _points(self, d: TestSetDoc, predicted: dict[tuple[str, str], float]) -> list[ParityPoint]:
        """Return one point per member that has an energy; offsets go to total energies."""
        keys = [k for k in d.members if (k, d.labels[k]) in predicted]
        if not keys:
            return []

        def reference(k: str) -> float:
            return float(self.frames[k, d.labels[k]][-1].calc.results["energy"])

        def energy(k: str) -> float:
            return predicted[k, d.labels[k]]

        counts = [d.structures[k].counts for k in keys]
        pure = {e: reference(k) for e, k in d.end_points.items()}
        model_pure = {e: energy(k) for e, k in d.end_points.items()}
        mixing = 1e3 * mixing_energies([reference(k) for k in keys], counts, pure)
        model_mixing = 1e3 * mixing_energies([energy(k) for k in keys], counts, model_pure)
        elements = sorted(self.offsets)
        atoms = [{e: d.trajectories[k].symbols.count(e) for e in elements} for k in keys]
        total = apply_offsets(
            [energy(k) for k in keys], composition_matrix(atoms, elements), elements, self.offsets
        )
        return [
            ParityPoint(
                structure_id=k,
                formula=d.structures[k].formula,
                n_components=len(d.structures[k].counts),
                test_set=d.name,
                trained=k in self.trained,
                reference_energy=reference(k) / len(d.structures[k].species),
                model_energy=float(total[i]) / len(d.structures[k].species),
                reference_mixing_mev=float(mixing[i]),
                model_mixing_mev=float(model_mixing[i]),
            )
            for i, k in enumerate(keys)
        ]


def _rms(parts: list[NDArray[np.float64]]) -> float:
    return float(np.sqrt((np.concatenate(parts) ** 2).mean()))
