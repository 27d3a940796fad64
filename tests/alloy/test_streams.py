from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hea_flows.alloy.streams import seed_of, stream


def first(generator: np.random.Generator) -> list[float]:
    return generator.random(4).tolist()


def test_a_purpose_has_its_numbers_and_shares_them_with_none() -> None:
    purposes = [("split",), ("bootstrap",), ("batches", 0), ("batches", 1), ("batches",), ("0",)]
    drawn = [first(stream(seed, *names)) for seed in (0, 7) for names in purposes]
    plain = [first(np.random.default_rng(seed)) for seed in (0, 7)]
    assert len({tuple(x) for x in drawn + plain}) == len(drawn) + len(plain)
    assert first(stream(7, "split")) == first(stream(7, "split"))
    # numpy's own lists do share them: the reason for names
    assert first(np.random.default_rng([7, 0])) == first(np.random.default_rng(7))


def test_the_numbers_of_a_name_are_those_of_its_sha256() -> None:
    words = np.frombuffer(hashlib.sha256(b"monte carlo|references").digest(), dtype="<u4")
    expected = np.random.default_rng([23, *words.tolist()])
    assert first(stream(23, "monte carlo", "references")) == first(expected)


def test_seeds_for_other_libraries() -> None:
    seeds = [seed_of(s, name) for s in range(50) for name in ("weights", "dropout")]
    assert len(set(seeds)) == 100
    assert 0 <= min(seeds) <= max(seeds) < 2**31
    assert seed_of(3, "weights") == seeds[6]


def test_a_stream_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="a stream needs a name"):
        stream(7)
