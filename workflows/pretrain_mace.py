"""Train a small MACE from scratch on many compounds: a foundation of one's own.

python workflows/pretrain_mace.py frames.extxyz --epochs 50 --output mace-own.pt

The file is a foundation like any other: its atomic energies E0 hold the energies per element, so
that it predicts the total energies of the frames. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from ase import Atoms

from hea_flows.alloy.errors import split_frames
from hea_flows.alloy.lattice import max_force
from hea_flows.alloy.thermodynamics import apply_offsets, composition_matrix, fit_offsets
from hea_flows.potentials import model_files
from hea_flows.potentials.mace.family import MACEFamily
from hea_flows.potentials.training.labels import with_energies
from hea_flows.runtime.extxyz import read_frames
from hea_flows.schemas import Epoch, LossWeights, ModelSpec, TrainingSettings


def main(
    file: Annotated[Path, typer.Argument(help="Frames in eV, eV/Å, eV/Å³ (extended XYZ).")],
    epochs: Annotated[int, typer.Option(min=1)] = 50,
    hidden: Annotated[str, typer.Option(help="Hidden irreps of MACE.")] = "32x0e",
    cutoff: Annotated[float, typer.Option(help="Range of a layer (Å); there are two.")] = 5.0,
    max_atoms: Annotated[int, typer.Option(help="Larger frames are left out.")] = 200,
    largest_force: Annotated[float, typer.Option(help="Frames beyond are left out, eV/Å.")] = 10.0,
    min_frames: Annotated[int, typer.Option(help="Elements in fewer frames are left out.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1)] = 4,
    learning_rate: Annotated[float, typer.Option()] = 5e-3,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of the training.")] = 0,
    output: Annotated[Path, typer.Option(help="Checkpoint to write.")] = Path("foundation.pt"),
) -> None:
    """Train a small MACE from scratch on many compounds: a foundation of one's own."""
    every = read_frames(file)
    frames = [f for f in every if len(f) <= max_atoms and max_force(f) <= largest_force]
    while rare := {e for e, n in occurrences(frames).items() if n < min_frames}:
        frames = [f for f in frames if not rare & set(f.get_chemical_symbols())]
    elements = sorted(occurrences(frames))
    print(f"{len(frames)} of {len(every)} frames, {len(elements)} elements")
    rng = np.random.default_rng(seed)
    parts = split_frames([str(i) for i in range(len(frames))], rng, fractions=(0.9, 0.05, 0.05))
    train, test, validation = ([frames[i] for i in part] for part in parts)

    # The energy per element is fitted and taken away; the network learns what is left.
    offsets = fit_offsets(composition(train, elements), energies(train), elements)
    negative = {element: -value for element, value in offsets.items()}

    def without(part: list[Atoms]) -> list[Atoms]:
        rest = apply_offsets(energies(part), composition(part, elements), elements, negative)
        return with_energies(part, rest.tolist())

    # Energies weigh as much as forces: the frames are few, and of many elements.
    settings = TrainingSettings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weights=LossWeights(energy=10, forces=10, stress=100),
        seed=seed,
    )
    family = MACEFamily(architecture={"hidden_irreps": hidden, "r_max": cutoff})
    parts_without = (without(train), without(validation), without(test))
    result = family.train(None, *parts_without, settings, output.with_suffix(".run"), show)
    for name, error in result.errors.items():
        print(
            f"{name}: {error.n_frames} frames, RMSE {error.energy_mev:.1f} meV/atom, "
            f"{error.forces_mev:.1f} meV/Å, {1e3 * error.stress:.2f} meV/Å³"
        )

    # The model's own E0 take the offsets: nothing has to be added to what it predicts.
    potential = family.load(result.model)
    potential.add_atomic_energies(offsets)
    sha256 = model_files.save(output, potential.checkpoint(trained_on=file.name, seed=seed))
    spec = ModelSpec(family="mace", path=str(output), sha256=sha256)
    told = np.array([p.energy for p in family.evaluate(spec, test)])
    sizes = np.array([len(f) for f in test])
    rmse = 1e3 * np.sqrt(np.mean(((told - energies(test)) / sizes) ** 2))
    print(f"written: {output}, epoch {result.best_epoch}, sha256 {sha256}")
    print(f"the file itself on the test frames: RMSE {rmse:.1f} meV/atom")


def occurrences(frames: list[Atoms]) -> Counter[str]:
    """Return the number of frames that hold each element."""
    return Counter(e for frame in frames for e in set(frame.get_chemical_symbols()))


def composition(frames: list[Atoms], elements: list[str]) -> np.ndarray:
    """Return atoms per frame and element."""
    return composition_matrix([Counter(f.get_chemical_symbols()) for f in frames], elements)


def energies(frames: list[Atoms]) -> np.ndarray:
    """Return total energies (eV)."""
    return np.array([frame.calc.results["energy"] for frame in frames])


def show(epoch: Epoch) -> None:
    """Print one epoch."""
    print(
        f"epoch {epoch.epoch}: loss {epoch.train_loss:.3f}, validation "
        f"{epoch.validation_energy_mev:.1f} meV/atom, {epoch.validation_forces_mev:.1f} meV/Å, "
        f"{1e3 * epoch.validation_stress:.2f} meV/Å³, {epoch.seconds:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    typer.run(main)
