"""Whether a larger training set was worth it: errors step by step, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hea_flows.alloy.errors.comparison import Difference, mae_difference, paired


@dataclass(frozen=True)
class StepError:
    """Mean absolute error of the models of one step, in the unit of the errors.

    Parameters
    ----------
    mae
        Mean over the seeds.
    low, high
        Percentile bootstrap interval, over seeds and structures.
    by_seed
        Of each seed.
    n
        Number of structures that every seed has a value for.
    """

    mae: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    n: int


def step_error(errors: Sequence[Mapping[str, float]], rng: np.random.Generator) -> StepError:
    """Return the error of one step.

    Parameters
    ----------
    errors
        Of each seed the errors by structure id; an error that is not finite counts as missing.
    rng
        Source of resamples.

    Raises
    ------
    ValueError
        If there is no seed, or no structure has a value of all.
    """
    own = paired(errors, errors).a
    against_none = mae_difference(own, np.zeros(own.shape[1]), rng)
    return StepError(
        against_none.value,
        against_none.low,
        against_none.high,
        tuple(np.abs(own).mean(axis=1).tolist()),
        own.shape[1],
    )


@dataclass(frozen=True)
class Decision:
    """Whether a step was better than the one before it.

    Parameters
    ----------
    improved
        True if the whole interval of the change lies below minus the tolerance.
    change
        MAE of the step minus that of the one before, on structures that both have values for.
    """

    improved: bool
    change: Difference


def decide(
    before: Sequence[Mapping[str, float]],
    after: Sequence[Mapping[str, float]],
    rng: np.random.Generator,
    *,
    tolerance: float = 0.0,
) -> Decision:
    """Return whether the error became smaller by more than its own error.

    Each comparison keeps its level, 95 %: a sequence of k steps that are all alike goes on by luck
    at one of them with a chance of at most k times 2.5 %.

    Parameters
    ----------
    before, after
        Of each seed the errors by structure id, of structures that the model was not trained on.
    rng
        Source of resamples.
    tolerance
        A smaller improvement is none, in the unit of the errors.

    Raises
    ------
    ValueError
        If the tolerance is negative, or the steps share no structure.
    """
    if not tolerance >= 0:
        msg = f"tolerance must be 0 or more, in the unit of the errors; got {tolerance}"
        raise ValueError(msg)
    both = paired(after, before)
    change = mae_difference(both.a, both.b, rng)
    return Decision(change.high < -tolerance, change)


def recommended(improved: Sequence[bool]) -> int:
    """Return the step to use: the last that was better than the one before, else the first.

    Parameters
    ----------
    improved
        Of each step; the first one's does not count.
    """
    return max((i for i, better in enumerate(improved) if better and i), default=0)
