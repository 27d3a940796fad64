"""A step of training over an evaluation of the same atoms: what `hea-flows check` multiplies by.

python benchmarks/training_cost.py --families chgnet mace
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from hea_flows.potentials import family
from hea_flows.reference import find_card, load_dataset
from hea_flows.schemas import ModelSpec, TrainingSettings

#: Foundations that are fine-tuned; another family is trained from scratch.
PARENTS = {"chgnet": ModelSpec(family="chgnet", name="0.3.0")}


def main() -> None:
    """Train for some epochs on shipped frames, evaluate them with the result, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", default=["chgnet", "mace"])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    _, trajectories = load_dataset(find_card("pbe-mo-ta-nb-w-v-s2"))
    frames = [frame for part in trajectories.values() for frame in part][: given.frames]
    atoms = sum(map(len, frames))
    settings = TrainingSettings(epochs=given.epochs, batch_size=4, offsets="none")
    for name in given.families:
        model = family(name)
        with tempfile.TemporaryDirectory() as folder:
            result = model.train(PARENTS.get(name), frames, [], [], settings, Path(folder))
            evaluate = model.evaluator(result.model)
            evaluate(frames)
            times = []
            for _ in range(3):
                begun = time.perf_counter()
                evaluate(frames)
                times.append(time.perf_counter() - begun)
        epoch, evaluation = min(e.seconds for e in result.curve), min(times)
        print(
            f"{name}: epoch {epoch:.2f} s, evaluation {evaluation:.2f} s "
            f"({1e3 * evaluation / atoms:.2f} ms per atom), ratio {epoch / evaluation:.1f}"
        )


if __name__ == "__main__":
    main()
