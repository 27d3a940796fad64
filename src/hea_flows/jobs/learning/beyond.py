"""What a benchmark asks of a model beyond the alloy's energies: what it forgot, if it is stable."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from ase import Atoms

from hea_flows.alloy import stream
from hea_flows.config import StabilitySpec
from hea_flows.jobs.learning.offsets import offsets_between
from hea_flows.potentials import evaluate_each, evaluator, family, run_dynamics
from hea_flows.runtime.extxyz import read_frames
from hea_flows.schemas import (
    ForgettingTable,
    ModelDoc,
    ModelSpec,
    StabilityRow,
    TestSetDoc,
    TrainingDoc,
)
from hea_flows.services import say
from hea_flows.settings import get_settings


def file_sha256(file: str) -> str:
    """Return the checksum of a file of frames."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def keeps_zero(training: ModelDoc | None) -> bool:
    """Return whether a model's energies are on the zero of its foundation."""
    if isinstance(training, TrainingDoc):
        return training.parent is not None and training.settings.offsets == "fit"
    return training is None


def forgetting(model: ModelSpec, file: str, *, fit_offsets: bool) -> ForgettingTable:
    """Return a model's errors on labelled frames of a file; frames it cannot evaluate are left out.

    Parameters
    ----------
    model
        The model.
    file
        Extended XYZ, energies on the zero of the foundation.
    fit_offsets
        Whether per-element offsets are fitted first, for a model on another zero.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or its frames have no energy and forces.
    ValueError
        If the model can evaluate none of them.
    """
    frames = read_frames(Path(file), needs=("energy", "forces"))
    outcomes = evaluate_each(evaluator(model, device=get_settings().device), frames)
    told = [(f, p) for f, p in zip(frames, outcomes, strict=True) if not isinstance(p, str)]
    if not told:
        msg = f"{file}: the model {model.title} can evaluate none of its {len(frames)} frames"
        raise ValueError(msg)
    known = [frame for frame, _ in told]
    predicted = [prediction.energy for _, prediction in told]
    offsets = offsets_between(known, predicted) if fit_offsets else {}
    errors = [
        (energy + _sum(offsets, frame) - frame.calc.results["energy"]) / len(frame)
        for frame, energy in zip(known, predicted, strict=True)
    ]
    forces = [np.abs(p.forces - frame.calc.results["forces"]).ravel() for frame, p in told]
    return ForgettingTable(
        file=Path(file).name,
        sha256=file_sha256(file),
        n_frames=len(told),
        n_left_out=len(frames) - len(told),
        offsets_fitted=fit_offsets,
        energy_mev=1e3 * float(np.mean(np.abs(errors))),
        forces_mev=1e3 * float(np.concatenate(forces).mean()),
    )


def stability(
    model: ModelSpec, test_set: TestSetDoc, spec: StabilitySpec, seed: int
) -> list[StabilityRow]:
    """Run dynamics of the structure with most elements, then sites, of a test set.

    Parameters
    ----------
    model
        The model.
    test_set
        Its last labelled frames are where dynamics start.
    spec
        Temperatures, length and size of the cell.
    seed
        Of velocities and thermostat.
    """
    key = max(
        test_set.members,
        key=lambda k: (len(test_set.structures[k].counts), len(test_set.structures[k].species), k),
    )
    cell = test_set.trajectories[key].to_frames()[-1]
    repeats = [
        int(np.ceil(spec.min_length / length)) if periodic else 1
        for length, periodic in zip(cell.cell.lengths(), cell.pbc, strict=True)
    ]
    atoms = cell.repeat(repeats)
    calculator = family(model.family).calculator(model, get_settings().device)
    rows = []
    for temperature in spec.temperatures:
        say(f"dynamics of {atoms.get_chemical_formula()} at {temperature:g} K")
        rng = stream(seed, "dynamics", f"{temperature:g}")
        run = run_dynamics(atoms, calculator, temperature, spec.picoseconds, rng)
        rows.append(
            StabilityRow(
                structure_id=key,
                formula=atoms.get_chemical_formula(),
                temperature=temperature,
                mean_temperature=run.temperature,
                picoseconds=run.picoseconds,
                drift_mev=run.drift,
                shift=run.shift,
                reason=run.reason,
            )
        )
    return rows


def _sum(offsets: dict[str, float], frame: Atoms) -> float:
    return sum(offsets.get(s, 0.0) for s in frame.get_chemical_symbols())
