"""Seeded splits into training, test and validation data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

#: Shares of training, test and validation data; and those of the smallest sets, of fewer frames
#: than `FEW`, which are not tested on.
FRACTIONS = (0.8, 0.15, 0.05)
FRACTIONS_OF_FEW = (0.9, 0.0, 0.1)
FEW = 200


def split_sizes(n: int, fractions: Sequence[float] = FRACTIONS) -> list[int]:
    """Return how many of `n` items each part gets: largest remainders, then none left empty.

    A part with a positive share gets at least one item if there are enough items, at the cost of
    the largest part. Equal remainders go to the earlier part.

    Raises
    ------
    ValueError
        If fractions are negative or do not sum to one.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        msg = f"fractions must be ≥ 0 and sum to 1, got {list(fractions)}"
        raise ValueError(msg)
    # Rounded, so that 0.15 * 20 = 3.0000000000000004 leaves no remainder.
    exact = [round(n * f, 9) for f in fractions]
    sizes = [int(x) for x in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: sizes[i] - exact[i])
    for i in by_remainder[: n - sum(sizes)]:
        sizes[i] += 1
    wanted = [i for i, f in enumerate(fractions) if f > 0]
    if n >= len(wanted):
        for i in wanted:
            if sizes[i] == 0:
                sizes[sizes.index(max(sizes))] -= 1
                sizes[i] = 1
    return sizes


def default_fractions(n_frames: int) -> tuple[float, float, float]:
    """Return the shares of training, test and validation frames, by the number of frames."""
    return FRACTIONS if n_frames >= FEW else FRACTIONS_OF_FEW


def split_frames(
    parents: Sequence[str],
    rng: np.random.Generator,
    *,
    fractions: tuple[float, float, float] = FRACTIONS,
    by: Literal["frame", "structure"] = "frame",
) -> tuple[list[int], list[int], list[int]]:
    """Split frames at random into training, test and validation indices.

    Parameters
    ----------
    parents
        Identity of the structure that each frame comes from.
    rng
        Source of all randomness.
    fractions
        Shares of training, test and validation; a share of 0 leaves that part empty.
    by
        ``"frame"`` splits frames; ``"structure"`` splits parents, so that no structure has frames
        in two parts, and `fractions` are those of the parents.

    Returns
    -------
    train, test, validation
        Sorted indices into `parents`.

    Raises
    ------
    ValueError
        If `by` or `fractions` is not accepted.
    """
    if by not in ("frame", "structure"):
        msg = f"by must be 'frame' or 'structure', got {by!r}"
        raise ValueError(msg)
    labels = list(range(len(parents))) if by == "frame" else list(dict.fromkeys(parents))
    order = [labels[i] for i in rng.permutation(len(labels))]
    parts: list[list[int]] = []
    start = 0
    for size in split_sizes(len(labels), fractions):
        members = set(order[start : start + size])
        keys = range(len(parents)) if by == "frame" else parents
        parts.append([i for i, key in enumerate(keys) if key in members])
        start += size
    return parts[0], parts[1], parts[2]
