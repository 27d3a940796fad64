"""One trainer for every torch potential, resumable after every epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ase import Atoms

from hea_flows.engines import model_files
from hea_flows.engines.loss import SquaredErrors, squared_errors
from hea_flows.engines.potential import Potential, predict
from hea_flows.engines.registry import TrainingResult
from hea_flows.engines.training_data import Split, batches, fingerprint
from hea_flows.schemas import Epoch, ErrorSummary, ModelSpec, TrainingSettings

#: State of a run, and the model that it ends with, in the run's directory.
STATE_FILE = "training.pt"
MODEL_FILE = "model.pt"

_STATE_FORMAT = "hea-flows training 1"


def learning_rate(settings: TrainingSettings, epoch: int) -> float:
    """Return the learning rate of an epoch (from 1): half a cosine, first to final rate."""
    if settings.epochs == 1:
        return settings.learning_rate
    turn = math.cos(math.pi * (epoch - 1) / (settings.epochs - 1))
    low = min(settings.final_learning_rate, settings.learning_rate)
    return low + 0.5 * (settings.learning_rate - low) * (1.0 + turn)


def train(
    potential: Potential,
    train_frames: Sequence[Atoms],
    validation: Sequence[Atoms],
    test: Sequence[Atoms],
    settings: TrainingSettings,
    directory: Path,
    *,
    parent: ModelSpec | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainingResult:
    """Train all weights with Adam; keep the epoch with the smallest validation loss.

    The state is written after every epoch, at once or not at all. A run that was killed goes on
    from there and ends with the file that an uninterrupted run writes, on the same machine with
    the same number of threads. Without validation frames the last epoch is kept.

    Parameters
    ----------
    potential
        Model to start from; it is changed.
    train_frames, validation, test
        Frames with results, offsets already removed; see `hea_flows.engines.registry.Family`.
    settings
        How to train.
    directory
        Folder of this run; a state of another run in it is refused.
    parent
        What the model starts from, for the record.
    on_epoch
        Called after each epoch, when its state is on disk.

    Raises
    ------
    ValueError
        Without training frames, for frames without labels, or if `directory` holds another run.
    ArithmeticError
        If the loss is no longer finite.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _threads(settings.threads):
        split = {
            "train": Split.of(potential, train_frames, settings),
            "validation": Split.of(potential, validation, settings),
            "test": Split.of(potential, test, settings),
        }
        if not split["train"].targets:
            msg = "there are no training frames"
            raise ValueError(msg)
        run = _Run(potential, settings, directory, fingerprint(potential, split, settings))
        run.resume()
        while run.epoch < settings.epochs:
            record = run.advance(split)
            if on_epoch is not None:
                on_epoch(record)
        return run.finish(split, parent)


@dataclass
class _Run:
    """The state of one run: everything that the next epoch depends on."""

    potential: Potential
    settings: TrainingSettings
    directory: Path
    fingerprint: str
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Any] = field(default_factory=dict)
    curve: list[Epoch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parameters = [p for p in self.potential.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            self.parameters, lr=self.settings.learning_rate, amsgrad=self.settings.amsgrad
        )

    def resume(self) -> None:
        """Go back to the last epoch on disk, if there is one."""
        path = self.directory / STATE_FILE
        if not path.exists():
            return
        state = model_files.load_plain(path)
        if state.get("format") != _STATE_FORMAT or state["fingerprint"] != self.fingerprint:
            msg = f"{path} belongs to a run with other frames, settings or parent; remove it first"
            raise ValueError(msg)
        self.potential.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.best_epoch = state["epoch"], state["best_epoch"]
        self.best_loss, self.best = state["best_loss"], state["best"]
        self.curve = [Epoch(**e) for e in state["curve"]]

    def advance(self, split: dict[str, Split]) -> Epoch:
        """Run one epoch and write the state."""
        clock = time.perf_counter()
        settings = self.settings
        self.epoch += 1
        rate = learning_rate(settings, self.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        errors = SquaredErrors()
        self.potential.module.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed * 1_000_003 + self.epoch)  # dropout, where there is any
            for chosen in batches(len(split["train"].targets), settings, self.epoch):
                errors.add(self._step(*split["train"].batch(self.potential, chosen)))
        checked = split["validation"].errors(self.potential, settings.batch_size)
        judged = checked.loss(settings.weights) if checked.n_energy else -math.inf
        if judged < self.best_loss or not checked.n_energy:
            self.best_epoch, self.best_loss = self.epoch, judged
            self.best = {k: v.clone() for k, v in self.potential.module.state_dict().items()}
        energy, forces, stress = checked.rmse_mev()
        record = Epoch(
            epoch=self.epoch,
            learning_rate=rate,
            train_loss=errors.loss(settings.weights),
            validation_energy_mev=energy,
            validation_forces_mev=forces,
            validation_stress_mev=stress,
            seconds=time.perf_counter() - clock,
        )
        self.curve.append(record)
        self._write()
        return record

    def _step(self, batch: Any, labels: Any) -> SquaredErrors:  # noqa: ANN401
        weights = self.settings.weights
        output = predict(
            self.potential,
            batch,
            forces=weights.forces > 0,
            stress=weights.stress > 0,
            create_graph=True,
        )
        errors = squared_errors(output, labels)
        value = errors.loss(weights)
        if not torch.isfinite(value):
            msg = (
                f"the loss became {value.item()} in epoch {self.epoch}; "
                f"lower the learning rate ({self.settings.learning_rate:g}) or check the frames"
            )
            raise ArithmeticError(msg)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        if self.settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.max_gradient_norm)
        self.optimizer.step()
        return errors

    def _write(self) -> None:
        model_files.write_plain(
            self.directory / STATE_FILE,
            {
                "format": _STATE_FORMAT,
                "fingerprint": self.fingerprint,
                "epoch": self.epoch,
                "best_epoch": self.best_epoch,
                "best_loss": float(self.best_loss),
                "best": self.best,
                "module": self.potential.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "curve": [e.model_dump() for e in self.curve],
            },
        )

    def finish(self, split: dict[str, Split], parent: ModelSpec | None) -> TrainingResult:
        """Write the best epoch's model and measure it on every split."""
        module = self.potential.module
        module.load_state_dict(self.best)
        errors: dict[str, ErrorSummary] = {
            name: part.errors(self.potential, self.settings.batch_size).summary()
            for name, part in split.items()
            if part.targets
        }
        checkpoint = self.potential.checkpoint(
            parent=None if parent is None else parent.model_dump(exclude={"path"}),
            settings=self.settings.model_dump(exclude={"threads"}),
            best_epoch=self.best_epoch,
            run=self.fingerprint,
        )
        path = self.directory / MODEL_FILE
        dtype = "float64" if self.parameters[0].dtype == torch.float64 else "float32"
        model = ModelSpec(
            family=checkpoint.family,
            path=str(path),
            sha256=model_files.save(path, checkpoint),
            dtype=dtype,
        )
        seconds = sum(e.seconds for e in self.curve)
        return TrainingResult(model, self.best_epoch, self.curve, errors, seconds)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
