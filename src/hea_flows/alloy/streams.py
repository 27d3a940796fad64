"""Named streams of random numbers: whatever draws has a generator of its own."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator of one purpose.

    Purposes of different names share no numbers, and none shares them with
    ``numpy.random.default_rng(seed)``; one that draws more or less changes no other.

    Parameters
    ----------
    seed
        Of the campaign or of the part that draws, 0 or more.
    names
        The purpose, for example ``"monte carlo", "references"``; at least one.

    Examples
    --------
    >>> from hea_flows.alloy.streams import stream
    >>> int(stream(7, "split").integers(1000)) == int(stream(7, "bootstrap").integers(1000))
    False
    """
    return np.random.default_rng([seed, *_words(names)])


def seed_of(seed: int, *names: str | int) -> int:
    """Return a seed (0 to 2³¹ − 1) for a generator of another library; see `stream`."""
    return int(stream(seed, *names, "seed").integers(2**31))


def _words(names: tuple[str | int, ...]) -> list[int]:
    if not names:
        msg = "a stream needs a name, for example 'split'"
        raise ValueError(msg)
    digest = hashlib.sha256("|".join(map(str, names)).encode()).digest()
    return [int(word) for word in np.frombuffer(digest, dtype="<u4")]
