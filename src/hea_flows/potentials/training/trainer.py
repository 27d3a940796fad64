"""One trainer for every torch potential, resumable after every epoch."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ase import Atoms

from hea_flows.alloy import seed_of
from hea_flows.potentials import model_files
from hea_flows.potentials.base import TrainingResult
from hea_flows.potentials.potential import Batch, Potential
from hea_flows.potentials.training.data import Split, batches, fingerprint
from hea_flows.potentials.training.loss import BatchLabels, SquaredErrors, squared_errors
from hea_flows.potentials.training.methods import recorded
from hea_flows.potentials.training.schedule import (
    final_weights,
    has_weight,
    is_over,
    learning_rate,
    loss_weights,
    smoothed_loss,
    with_defaults,
)
from hea_flows.runtime import OutOfTimeError, clear_partial, seconds_left, too_late
from hea_flows.schemas import Epoch, ErrorSummary, LossWeights, ModelSpec, Replay, TrainingSettings

#: Training state, and the model file that the run ends with, in the run's directory.
STATE_FILE = "training.pt"
MODEL_FILE = "model.pt"

_STATE_FORMAT = "hea-flows training 2"


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
    replay: Sequence[Atoms] = (),
) -> TrainingResult:
    """Train what requires gradients with Adam; keep the best epoch.

    The best epoch is the one with the smallest validation loss (`schedule.smoothed_loss`); without
    validation frames the last one. The training state is written after every epoch, at once or not
    at all. A run that was killed resumes there and ends with the file that an uninterrupted run
    writes, on the same machine with the same number of threads.

    Parameters
    ----------
    potential
        Model to start from; it is changed.
    train_frames, validation, test
        Frames with results, offsets already removed; see `hea_flows.potentials.base.Family`.
    settings
        How to train; what is None follows from the number of training frames.
    directory
        Folder of this run; a state of another run in it is refused.
    parent
        What the model starts from, for the record.
    on_epoch
        Called after each epoch, when its state is on disk.
    replay
        Frames that are trained on beside `train_frames` (`hea_flows.schemas.Replay`); batches mix
        both. They do not decide which epoch is kept.

    Raises
    ------
    ValueError
        Without training frames, for frames without energy or forces, if none has a stress and that
        has a loss weight, or if `directory` holds another run.
    ArithmeticError
        If the loss is no longer finite.
    OutOfTimeError
        If the batch job ends before another epoch would.
    """
    if not train_frames:
        msg = "there are no training frames"
        raise ValueError(msg)
    settings = with_defaults(settings, len(train_frames))
    directory.mkdir(parents=True, exist_ok=True)
    weight = settings.method.weight if isinstance(settings.method, Replay) else 1.0
    with _threads(settings.threads):
        split = {
            "train": Split.of(potential, train_frames),
            "validation": Split.of(potential, validation),
            "test": Split.of(potential, test),
            "replay": Split.of(potential, replay, weight),
        }
        learned = split["train"].labels + split["replay"].labels
        if has_weight(settings, "stress") and not any(x.has_stress for x in learned):
            msg = "no training frame has a stress; set the loss weight of the stress to 0"
            raise ValueError(msg)
        run = _Run(potential, settings, directory, fingerprint(potential, split, settings))
        run.resume()
        while not is_over(settings, run.epoch, run.best_epoch):
            run.check_time()
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
            self.parameters,
            lr=self.settings.learning_rate,
            amsgrad=self.settings.amsgrad,
            fused=True,
        )

    def resume(self) -> None:
        """Go back to the last epoch on disk, if there is one."""
        path = self.directory / STATE_FILE
        clear_partial(path)
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

    def check_time(self) -> None:
        """Stop where the batch job ends before another epoch would."""
        left = seconds_left()
        usual = statistics.median(e.seconds for e in self.curve) if self.curve else 0.0
        if too_late(left, usual):
            msg = (
                f"{left:.0f} s are left and an epoch takes {usual:.0f} s; the next job resumes "
                f"after epoch {self.epoch}"
            )
            raise OutOfTimeError(msg)

    def advance(self, split: dict[str, Split]) -> Epoch:
        """Run one epoch and write the state."""
        clock = time.perf_counter()
        settings = self.settings
        self.epoch += 1
        weights, final = loss_weights(settings, self.epoch), final_weights(settings)
        rate = learning_rate(settings, self.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        errors, learned = SquaredErrors(), split["train"] + split["replay"]
        self.potential.module.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(settings.seed, "dropout", self.epoch))
            for chosen in batches(len(learned.labels), settings, self.epoch):
                errors.add(self._step(*learned.batch(self.potential, chosen), weights))
        validation, test = (
            split[name].errors(self.potential, settings.batch_size or 1)
            for name in ("validation", "test")
        )
        loss = validation.loss(final) if validation.n_energy else math.nan
        score = smoothed_loss([*(e.validation_loss for e in self.curve), loss])
        if not validation.n_energy or score < self.best_loss:
            self.best_epoch, self.best_loss = self.epoch, score
            self.best = {k: v.clone() for k, v in self.potential.module.state_dict().items()}
        record = Epoch(
            epoch=self.epoch,
            learning_rate=rate,
            train_loss=errors.loss(final),
            validation_loss=loss,
            **_columns(train=errors, validation=validation, test=test),
            seconds=time.perf_counter() - clock,
        )
        self.curve.append(record)
        self._write()
        return record

    def _step(self, batch: Batch, labels: BatchLabels, weights: LossWeights) -> SquaredErrors:
        output = self.potential.predict(
            batch,
            forces=has_weight(self.settings, "forces"),
            stress=has_weight(self.settings, "stress"),
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
            name: part.errors(self.potential, self.settings.batch_size or 1).summary()
            for name, part in split.items()
            if part.labels
        }
        checkpoint = self.potential.checkpoint(
            parent=None if parent is None else parent.model_dump(exclude={"path"}),
            settings=recorded(self.settings),
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
        return TrainingResult(model, self.settings, self.best_epoch, self.curve, errors, seconds)


def _columns(**splits: SquaredErrors) -> dict[str, float]:
    """Return root mean squares under the names that `Epoch` gives them."""
    return {
        f"{name}_{quantity}": value
        for name, errors in splits.items()
        for quantity, value in errors.summary().model_dump(exclude={"n_frames"}).items()
    }


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
