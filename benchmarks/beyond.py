"""What fine-tuning costs elsewhere: CHGNet on other crystals, and dynamics of an alloy.

    hea-flows export model model.pt --campaign quickstart
    python benchmarks/beyond.py model.pt

46 rattled cells of 23 crystals, from metals to oxides, labelled with CHGNet 0.3.0 itself, so that a
difference is what fine-tuning changed. Then dynamics of a (Mo,Ta,Nb,W,V)S2 layer of 75 atoms at 300
and 1000 K with both models.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from hea_flows.alloy import stream
from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets import parse
from hea_flows.jobs.learning.beyond import forgetting
from hea_flows.potentials import family, run_dynamics
from hea_flows.runtime.extxyz import write_frames
from hea_flows.schemas import ModelSpec

FOUNDATION = ModelSpec(family="chgnet", name="0.3.0")
#: Structure and lattice constant (Å) of each crystal.
CRYSTALS = {
    **dict.fromkeys(("Al", "Ag"), ("fcc", 4.07)),
    **dict.fromkeys(("Cu", "Ni"), ("fcc", 3.57)),
    "Pt": ("fcc", 3.92),
    "Fe": ("bcc", 2.87),
    **dict.fromkeys(("W", "Mo"), ("bcc", 3.16)),
    **dict.fromkeys(("Nb", "Ta"), ("bcc", 3.30)),
    "V": ("bcc", 3.03),
    "Si": ("diamond", 5.43),
    "C": ("diamond", 3.57),
    "NaCl": ("rocksalt", 5.64),
    **dict.fromkeys(("MgO", "NiO", "TiN"), ("rocksalt", 4.21)),
    "LiF": ("rocksalt", 4.03),
    "CaO": ("rocksalt", 4.81),
    "MnO": ("rocksalt", 4.44),
    "ZnS": ("zincblende", 5.41),
    "GaAs": ("zincblende", 5.65),
    "CsCl": ("cesiumchloride", 4.12),
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a CHGNet checkpoint of hea-flows")
    parser.add_argument("--picoseconds", type=float, default=2.0)
    given = parser.parse_args()
    tuned = family("chgnet").resolve(ModelSpec(family="chgnet", path=str(given.model)))
    models = {"foundation": FOUNDATION, "fine-tuned": tuned}
    frames = [rattled(name, seed) for name in CRYSTALS for seed in (0, 1)]
    for frame, p in zip(frames, family("chgnet").evaluate(FOUNDATION, frames), strict=True):
        frame.calc = SinglePointCalculator(frame, energy=p.energy, forces=p.forces, stress=p.stress)
    mean = 1e3 * np.concatenate([abs(f.get_forces()).ravel() for f in frames]).mean()
    print(f"{len(frames)} frames, mean size of a force component {mean:.0f} meV/Å")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crystals.extxyz"
        write_frames(path, frames)
        for name, model in models.items():
            table = forgetting(model, str(path), fit_offsets=False)
            print(f"{name:10}  {table.energy_mev:7.2f} meV/atom  {table.forces_mev:7.2f} meV/Å")
    alloy = Alloy(("Mo", "Ta", "Nb", "W", "V"))
    [ordering] = parse("random(5x5, n=1, components=5, equimolar)").build(alloy, 1)
    for temperature in (300.0, 1000.0):
        for name, model in models.items():
            rng = stream(1, "dynamics", f"{temperature:g}")
            run = run_dynamics(
                ordering.to_atoms(), family("chgnet").calculator(model), temperature,
                given.picoseconds, rng,
            )  # fmt: skip
            told = f"{temperature:5.0f} K  {name:10}  {run.picoseconds:g} ps  "
            told += f"mean {run.temperature:.0f} K  drift {run.drift:+.3f} meV/atom/ps  "
            print(f"{told}farthest {run.shift:.2f} Å  {run.reason}", flush=True)


def rattled(name: str, seed: int) -> Atoms:
    """Return a crystal whose atoms are shifted at random by 0.08 Å."""
    structure, a = CRYSTALS[name]
    atoms = bulk(name, structure, a=a, cubic=True)
    atoms.rattle(0.08, seed=seed)
    return atoms


if __name__ == "__main__":
    main()
