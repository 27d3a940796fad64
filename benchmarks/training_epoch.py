"""Our training epochs against those of ``mace_run_train``: same data, weights, batches, one core.

Both start from the same weights, see the same frames in the same batches and minimise the same
loss: MACE's ``--loss stress`` with weights 100, 10 and 1 is ours, a weighted mean of squared errors
in eV/atom, eV/Å and eV/Å³. Both use Adam with AMSGrad, a constant rate and gradients clipped at 10.
MACE runs its command line's ``run``, TorchScript included, in a process of its own, in which only
the initial weights and the order of frames are set from outside; both report the time of each
epoch's training steps and of the whole epoch with validation and checkpoint. The two run one after
the other, and again, `--rounds` times; the table has medians over all epochs but the first.

    python benchmarks/training_epoch.py                       # small model from scratch, float32
    python benchmarks/training_epoch.py --dtype float64       # and compare the curves
    python benchmarks/training_epoch.py --architecture small --frames 64   # MACE-MP-0 small's size
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from hea_flows.alloy.thermodynamics import composition_matrix, fit_offsets
from hea_flows.potentials import model_files
from hea_flows.potentials.mace import modules
from hea_flows.potentials.mace.family import MACEFamily
from hea_flows.potentials.mace.fast import ScalarMACE
from hea_flows.potentials.mace.potential import MACEPotential
from hea_flows.potentials.training import trainer
from hea_flows.potentials.training.data import Split, batches
from hea_flows.reference import find_card, load_dataset
from hea_flows.schemas import TrainingSettings

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "scratch": {},
    "small": {"hidden_irreps": "128x0e", "max_ell": 3, "r_max": 6.0, "num_bessel": 10},
}
_RATE = 1e-3


def main() -> None:
    """Time both, and compare their curves."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--architecture", choices=ARCHITECTURES, default="scratch")
    arguments.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    arguments.add_argument("--frames", type=int, default=100, help="for training")
    arguments.add_argument("--validation", type=int, default=10)
    arguments.add_argument("--batch-size", type=int, default=8)
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--side", choices=["ours", "mace"], help=argparse.SUPPRESS)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    if given.side:
        (_ours if given.side == "ours" else _mace)(given.run, given)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, given)
        found: dict[str, list[dict[str, Any]]] = {"ours": [], "mace": []}
        for _ in range(given.rounds):
            for side, runs in found.items():
                runs.append(_started(folder, side))
        _show(found, given)


def _frames(number: int) -> list[Atoms]:
    """Return frames of the shipped PBE labels, without offsets; repeated ones are rattled.

    A rattled copy keeps its labels: what is learned does not matter here, what it costs does.
    """
    _, trajectories = load_dataset(find_card("pbe-mo-ta-nb-w-v-s2"))
    known = [f for frames in trajectories.values() for f in frames]
    symbols = [f.get_chemical_symbols() for f in known]
    elements = sorted({s for names in symbols for s in names})
    counts = composition_matrix([{e: n.count(e) for e in elements} for n in symbols], elements)
    fitted = fit_offsets(counts, [f.calc.results["energy"] for f in known], elements)
    rng = np.random.default_rng(0)
    made = []
    for k in range(number):
        i = int(rng.integers(len(known)))
        frame, results = known[i].copy(), known[i].calc.results
        if k >= len(known) // 2:
            frame.rattle(0.02, seed=k)
        energy = results["energy"] - float(counts[i] @ [fitted[e] for e in elements])
        frame.pbc, frame.info = True, {}
        frame.calc = SinglePointCalculator(
            frame, energy=energy, forces=results["forces"], stress=results["stress"]
        )
        made.append(frame)
    return made


def _settings(given: argparse.Namespace) -> TrainingSettings:
    return TrainingSettings(
        epochs=given.epochs,
        batch_size=given.batch_size,
        patience=0,
        learning_rate=_RATE,
        final_learning_rate=_RATE,
        threads=1,
    )


def _prepare(folder: Path, given: argparse.Namespace) -> None:
    """Write frames for MACE, initial weights and the settings."""
    frames = _frames(given.frames + given.validation)
    for name, part in (("train", frames[: given.frames]), ("valid", frames[given.frames :])):
        written = []
        for frame in part:
            copy = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
            results = frame.calc.results
            copy.info["REF_energy"] = float(results["energy"])
            copy.info["REF_stress"] = np.asarray(results["stress"])
            copy.arrays["REF_forces"] = np.asarray(results["forces"])
            written.append(copy)
        write(folder / f"{name}.xyz", written, format="extxyz")
    family = MACEFamily(architecture=ARCHITECTURES[given.architecture], dtype=given.dtype)
    start = family.fresh(frames[: given.frames], 0)
    model_files.save(folder / "start.pt", start.checkpoint())
    (folder / "given.json").write_text(
        json.dumps({k: v for k, v in vars(given).items() if k != "run"})
    )


def _started(folder: Path, side: str) -> dict[str, Any]:
    values = json.loads((folder / "given.json").read_text())
    command = [sys.executable, __file__, "--side", side, "--run", str(folder)]
    for key in ("architecture", "dtype", "frames", "validation", "batch_size", "epochs"):
        command += [f"--{key.replace('_', '-')}", str(values[key])]
    log = folder / f"{side}.log"
    with log.open("w") as out:
        done = subprocess.run(  # noqa: S603  this very file
            command, stdout=out, stderr=out, cwd=folder, check=False
        )
    if done.returncode:
        sys.exit(log.read_text()[-3000:])
    found: dict[str, Any] = json.loads((folder / f"{side}.json").read_text())
    return found


class _Clock:
    """CPU times of epochs and of their training steps (s), and the loss of each step."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.epochs: list[float] = []
        self.losses: list[float] = []
        self.begun = 0.0


def _ours(folder: Path, given: argparse.Namespace) -> None:
    frames = _frames(given.frames + given.validation)
    clock = _Clock()
    step, advance, built = trainer._Run._step, trainer._Run.advance, []  # noqa: SLF001
    prepare = Split.of.__func__  # type: ignore[attr-defined]

    def timed_step(run: Any, *batch: Any) -> Any:  # noqa: ANN401
        errors = step(run, *batch)
        clock.losses.append(float(errors.loss(run.settings.weights)))
        return errors

    def timed_advance(run: Any, split: Any) -> Any:  # noqa: ANN401
        begun = time.process_time()
        clock.steps.append(0.0)
        record = advance(run, split)
        clock.epochs.append(time.process_time() - begun)
        return record

    def timed_batches(*args: Any) -> Any:  # noqa: ANN401
        """Everything between the first batch and the end of the last step."""
        begun = time.process_time()
        yield from batches(*args)
        clock.steps[-1] = time.process_time() - begun

    def timed_split(cls: type, *args: Any) -> Any:  # noqa: ANN401
        begun = time.process_time()
        made = prepare(cls, *args)
        built.append(time.process_time() - begun)
        return made

    checkpoint = model_files.load(folder / "start.pt", "mace")
    module = modules.build(dict(checkpoint.config))
    module.load_state_dict(checkpoint.state)
    start = ScalarMACE(MACEPotential(module, checkpoint.config, given.dtype, "cpu"))
    with (
        patch.object(trainer._Run, "_step", timed_step),  # noqa: SLF001
        patch.object(trainer._Run, "advance", timed_advance),  # noqa: SLF001
        patch.object(trainer, "batches", timed_batches),
        patch.object(Split, "of", classmethod(timed_split)),
        tempfile.TemporaryDirectory() as run,
    ):
        result = trainer.train(
            start, frames[: given.frames], frames[given.frames :], [], _settings(given), Path(run)
        )
    curve = [
        [e.validation_energy_mev / 1e3, e.validation_forces_mev / 1e3, e.validation_stress]
        for e in result.curve
    ]
    _report(folder / "ours.json", clock, curve, sum(built))


class _Watched:
    """What is set and timed in MACE's own run: weights, the order of frames, epochs, losses."""

    def __init__(self, given: argparse.Namespace, checkpoint: Any, train: Any) -> None:  # noqa: ANN401
        self.given, self.checkpoint = given, checkpoint
        self.epoch, self.step, self.evaluate = (
            train.train_one_epoch, train.take_step, train.evaluate,
        )  # fmt: skip
        self.clock = _Clock()
        self.curve: list[list[float]] = []

    def weights(self, model: Any) -> None:  # noqa: ANN401
        """Give a model our initial weights."""
        shapes = {name: value.shape for name, value in model.state_dict().items()}
        state = self.checkpoint.state
        model.load_state_dict({k: v.reshape(shapes[k]) for k, v in state.items()})
        for block in model.interactions:
            block.avg_num_neighbors = self.checkpoint.config["avg_num_neighbors"]

    def train_one_epoch(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Run an epoch in our order of frames; joining them is MACE's own work."""
        clock, begun = self.clock, time.process_time()
        if clock.begun:
            clock.epochs.append(begun - clock.begun)
        clock.begun = begun
        loader = kwargs.pop("data_loader")
        data = loader.dataset
        order = batches(len(data), _settings(self.given), kwargs["epoch"] + 1)
        ours = (loader.collate_fn([data[i] for i in chosen]) for chosen in order)
        self.epoch(**kwargs, data_loader=ours)
        clock.steps.append(time.process_time() - begun)

    def take_step(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """Note the loss of a step."""
        loss, metrics = self.step(**kwargs)
        self.clock.losses.append(float(loss))
        return loss, metrics

    def evaluated(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """Note the validation errors of an epoch."""
        loss, metrics = self.evaluate(**kwargs)
        clock = self.clock
        if clock.steps and len(self.curve) < self.given.epochs:
            names = ("rmse_e_per_atom", "rmse_f", "rmse_stress")
            self.curve.append([float(metrics[name]) for name in names])
        if len(clock.steps) == self.given.epochs and len(clock.epochs) < self.given.epochs:
            clock.epochs.append(time.process_time() - clock.begun)
        return loss, metrics


def _mace(folder: Path, given: argparse.Namespace) -> None:
    with modules._environment_kept():  # noqa: SLF001
        from mace.cli import run_train
        from mace.tools import build_default_arg_parser
    train = sys.modules["mace.tools.train"]  # mace.tools.train itself is a function of that name
    checkpoint = model_files.load(folder / "start.pt", "mace")
    watched, configure = _Watched(given, checkpoint, train), run_train.configure_model

    def configured(*args: Any) -> Any:  # noqa: ANN401
        model, output = configure(*args)
        watched.weights(model)
        return model, output

    words = _words(folder, given, checkpoint.config)
    line = [part for key, value in words.items() for part in (f"--{key}", str(value))]
    with (
        patch.object(run_train, "configure_model", configured),
        patch.object(train, "train_one_epoch", watched.train_one_epoch),
        patch.object(train, "take_step", watched.take_step),
        patch.object(train, "evaluate", watched.evaluated),
    ):
        try:
            run_train.run(build_default_arg_parser().parse_args([*line, "--amsgrad"]))
        except Exception:  # what follows training, plots and tables, does not matter here
            if len(watched.clock.epochs) < given.epochs:
                raise
    _report(folder / "mace.json", watched.clock, watched.curve, float("nan"))


def _words(folder: Path, given: argparse.Namespace, config: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the command line of ``mace_run_train``."""
    return {
        "name": "run",
        "work_dir": str(folder / "mace"),
        "train_file": str(folder / "train.xyz"),
        "valid_file": str(folder / "valid.xyz"),
        "E0s": str({int(z): 0.0 for z in config["atomic_numbers"]}),
        "model": "ScaleShiftMACE",
        "interaction_first": config["interaction_cls_first"],
        "interaction": config["interaction_cls"],
        "num_interactions": config["num_interactions"],
        "hidden_irreps": config["hidden_irreps"],
        "MLP_irreps": config["MLP_irreps"],
        "radial_MLP": str(list(config["radial_MLP"])),
        "max_ell": config["max_ell"],
        "correlation": config["correlation"],
        "r_max": config["r_max"],
        "num_radial_basis": config["num_bessel"],
        "num_cutoff_basis": config["num_polynomial_cutoff"],
        "loss": "stress",
        "energy_weight": 100,
        "forces_weight": 10,
        "stress_weight": 1,
        "compute_stress": True,
        "error_table": "PerAtomRMSEstressvirials",
        "lr": _RATE,
        "weight_decay": 0,
        "scheduler": "ExponentialLR",
        "lr_scheduler_gamma": 1.0,
        "clip_grad": 10,
        "batch_size": given.batch_size,
        "valid_batch_size": given.batch_size,
        "max_num_epochs": given.epochs,
        "eval_interval": 1,
        "default_dtype": given.dtype,
        "device": "cpu",
        "seed": 0,
        "num_workers": 0,
    }


def _report(path: Path, clock: _Clock, curve: list[list[float]], built: float) -> None:
    content = {k: v for k, v in vars(clock).items() if k != "begun"}
    path.write_text(json.dumps(content | {"curve": curve, "built": built}))


def _show(found: dict[str, list[dict[str, Any]]], given: argparse.Namespace) -> None:
    print(
        f"{given.architecture}, {given.dtype}: {given.frames} frames in batches of "
        f"{given.batch_size}, {given.validation} for validation; CPU s per epoch"
    )
    numbers = {}
    for side, runs in found.items():
        numbers[side] = [median(t for r in runs for t in r[key][1:]) for key in ("steps", "epochs")]
        spread = [(min(r[k][1:]), max(r[k][1:])) for r in runs for k in ("steps",)]
        print(
            f"  {side:5s} training {numbers[side][0]:7.3f}   whole {numbers[side][1]:7.3f}   "
            f"(fastest and slowest training of each round: "
            f"{', '.join(f'{a:.3f} {b:.3f}' for a, b in spread)})"
        )
    ratio = [b / a for a, b in zip(numbers["ours"], numbers["mace"], strict=True)]
    print(f"  ratio training {ratio[0]:.2f}   whole {ratio[1]:.2f}")
    print(f"  our graphs, once: {found['ours'][0]['built']:.2f} s")
    ours, theirs = (np.array(found[s][0]["losses"]) for s in ("ours", "mace"))
    print(f"  loss of {len(ours)} steps: largest relative difference ", end="")
    print(f"{np.abs(ours / theirs - 1).max():.1e}; {ours[0]:.4f} to {ours[-1]:.4f}")
    ours, theirs = (np.array(found[s][0]["curve"]) for s in ("ours", "mace"))
    print("  validation RMSE (energy, forces, stress) of each epoch: largest relative ", end="")
    print("difference " + ", ".join(f"{x:.1e}" for x in np.abs(ours / theirs - 1).max(0)))


if __name__ == "__main__":
    main()
