from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from hea_flows.alloy.errors.splits import default_fractions, split_frames, split_sizes


@pytest.mark.parametrize(
    ("n", "fractions", "sizes"),
    [
        (100, (0.8, 0.15, 0.05), [80, 15, 5]),
        (20, (0.8, 0.15, 0.05), [16, 3, 1]),
        (1256, (0.8, 0.15, 0.05), [1005, 188, 63]),  # 1004.8, 188.4, 62.8
        (7, (0.8, 0.15, 0.05), [5, 1, 1]),  # 5.6, 1.05, 0.35: none empty
        (3, (0.8, 0.15, 0.05), [1, 1, 1]),
        (2, (0.8, 0.15, 0.05), [2, 0, 0]),
        (1, (0.8, 0.15, 0.05), [1, 0, 0]),
        (0, (0.8, 0.15, 0.05), [0, 0, 0]),
        (10, (0.9, 0.0, 0.1), [9, 0, 1]),
        (4, (0.9, 0.0, 0.1), [3, 0, 1]),
        (10, (1.0, 0.0, 0.0), [10, 0, 0]),
    ],
)
def test_sizes(n: int, fractions: tuple[float, float, float], sizes: list[int]) -> None:
    assert split_sizes(n, fractions) == sizes
    assert sum(sizes) == n


def test_sizes_are_the_largest_remainders() -> None:
    for n in range(60, 200):
        sizes = split_sizes(n)
        assert sum(sizes) == n
        assert all(abs(s - n * f) < 1 for s, f in zip(sizes, (0.8, 0.15, 0.05), strict=True))


def test_the_smallest_sets_are_not_tested_on() -> None:
    assert default_fractions(199) == (0.9, 0.0, 0.1)
    assert default_fractions(200) == (0.8, 0.15, 0.05)


def parents(structures: int = 30, frames: int = 10) -> list[str]:
    return [f"s{i:02}" for i in range(structures) for _ in range(frames)]


@pytest.mark.parametrize("by", ["frame", "structure"])
def test_parts_are_a_partition_and_reproducible(by: Literal["frame", "structure"]) -> None:
    names = parents()
    parts = split_frames(names, np.random.default_rng(1), by=by)
    assert sorted(i for part in parts for i in part) == list(range(300))
    assert all(part == sorted(part) for part in parts)
    assert parts == split_frames(names, np.random.default_rng(1), by=by)
    assert parts != split_frames(names, np.random.default_rng(2), by=by)


def test_by_frame_sizes_and_leak() -> None:
    names = parents()
    train, test, validation = split_frames(names, np.random.default_rng(0))
    assert (len(train), len(test), len(validation)) == (240, 45, 15)
    assert {names[i] for i in train} & {names[i] for i in test}


def test_by_structure_never_separates_a_parent() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        frames = rng.integers(1, 12, size=40)
        names = [f"s{i}" for i, n in enumerate(frames) for _ in range(n)]
        names = [names[i] for i in rng.permutation(len(names))]
        groups = [{names[i] for i in part} for part in split_frames(names, rng, by="structure")]
        assert [len(g) for g in groups] == [32, 6, 2]
        assert len(groups[0] | groups[1] | groups[2]) == 40


def test_every_frame_is_equally_likely_in_the_test_part() -> None:
    rng = np.random.default_rng(9)
    hits = np.zeros(20)
    for _ in range(2000):
        hits[split_frames(["a"] * 20, rng)[1]] += 1
    # 3 of 20 go to the test part: 300 ± 16 each.
    assert np.abs(hits - 300).max() < 5 * np.sqrt(2000 * 0.15 * 0.85)


def test_errors() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="sum to 1"):
        split_frames(["a"], rng, fractions=(0.8, 0.1, 0.05))
    with pytest.raises(ValueError, match="sum to 1"):
        split_frames(["a"], rng, fractions=(1.1, -0.1, 0.0))
    with pytest.raises(ValueError, match="'frame' or 'structure', got 'parent'"):
        split_frames(["a"], rng, by="parent")
