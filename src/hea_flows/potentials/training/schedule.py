"""What training settings mean for a set of a given size: batch, epochs, rates, when to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from hea_flows.schemas import LossWeights, TrainingSettings

#: Steps of the optimizer that a run makes where the bounds on epochs allow it.
STEPS = 4000
EPOCHS = (20, 200)
BATCHES = (2, 32)
#: Half of the epochs, and no fewer than this, may pass without a better one.
PATIENCE = 20
#: Epochs whose losses are looked at together, see `smoothed_loss`.
WINDOW = 3


def with_defaults(settings: TrainingSettings, n_frames: int) -> TrainingSettings:
    """Return settings with numbers for what the size of the training set decides.

    The batch is the power of two nearest to half the square root of the number of frames, from 2
    to 32; epochs make about 4000 steps, from 20 to 200; patience is half of the epochs, at least
    20, so that an epoch that is good by chance, while the rate is high, ends no run before the rate
    has fallen. So 44 frames get batches of 4 and 200 epochs, 1000 frames 16 and 64, 4000 frames 32
    and 32.

    Parameters
    ----------
    settings
        As given; numbers in it are kept.
    n_frames
        Training frames.
    """
    size = settings.batch_size
    if size is None:
        half = max(0.5 * math.sqrt(n_frames), 1.0)
        size = min(max(2 ** round(math.log2(half)), BATCHES[0]), BATCHES[1])
    epochs = settings.epochs
    if epochs is None:
        steps = max(math.ceil(n_frames / size), 1)
        epochs = min(max(math.ceil(STEPS / steps), EPOCHS[0]), EPOCHS[1])
    patience = settings.patience
    if patience is None:
        patience = max(PATIENCE, math.ceil(epochs / 2))
    return settings.model_copy(update={"batch_size": size, "epochs": epochs, "patience": patience})


def learning_rate(settings: TrainingSettings, epoch: int) -> float:
    """Return the learning rate of an epoch (from 1): half a cosine, first to final rate.

    `settings` are those of `with_defaults`.
    """
    epochs = settings.epochs or 1
    if epochs == 1:
        return settings.learning_rate
    turn = math.cos(math.pi * (epoch - 1) / (epochs - 1))
    low = min(settings.final_learning_rate, settings.learning_rate)
    return low + 0.5 * (settings.learning_rate - low) * (1.0 + turn)


def loss_weights(settings: TrainingSettings, epoch: int) -> LossWeights:
    """Return the weights of the loss that an epoch (from 1) goes down.

    ``r first + (1 - r) final``, r the learning rate over the first one, as DeePMD's prefactors
    (L. Zhang et al., Phys. Rev. Lett. 120, 143001 (2018)): forces shape the model while the rate
    is high, energies settle while it falls. They are as near to the final ones as the rate comes
    to nothing. `settings` are those of `with_defaults`.
    """
    first, final = settings.weights, settings.final_weights
    if final is None:
        return first
    r = learning_rate(settings, epoch) / settings.learning_rate
    mixed = {k: r * v + (1.0 - r) * getattr(final, k) for k, v in first.model_dump().items()}
    return LossWeights(**mixed)


def final_weights(settings: TrainingSettings) -> LossWeights:
    """Return the weights that training moves to, by which epochs are compared."""
    return settings.weights if settings.final_weights is None else settings.final_weights


def has_weight(settings: TrainingSettings, quantity: Literal["forces", "stress"]) -> bool:
    """Return whether errors of a quantity count in the loss of any epoch."""
    return any(getattr(w, quantity) > 0 for w in (settings.weights, final_weights(settings)))


def smoothed_loss(losses: Sequence[float]) -> float:
    """Return the last of some validation losses, without the luck of a single epoch.

    The larger of the loss itself and the median of the last three: validation sets are small, and
    one lucky epoch among worse ones is not the one to keep.
    """
    last = sorted(losses[-WINDOW:])
    return max(losses[-1], last[len(last) // 2])


def is_over(settings: TrainingSettings, epoch: int, best_epoch: int) -> bool:
    """Return whether training ends after an epoch: the last one, or none was better for long.

    `settings` are those of `with_defaults`; a patience of 0 is endless.
    """
    waited = epoch - best_epoch
    return epoch >= (settings.epochs or 1) or bool(
        settings.patience and waited >= settings.patience
    )
