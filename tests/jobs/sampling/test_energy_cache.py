"""The cache of energies: a model is asked for none twice, and not when its time is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sampling.pilot import run_pilot
from hea_flows.alloy.sampling.settings import ExchangeLadder
from hea_flows.jobs.sampling import energy_cache
from hea_flows.jobs.sampling.energy_cache import PART, CachedEnergies, EnergyCache
from hea_flows.runtime.walltime import OutOfTimeError


class Numbered:
    """The energy of a decoration is the number that it spells; `fails` after so many calls."""

    name = "numbered"

    def __init__(self, fails: int | None = None) -> None:
        self.asked: list[int] = []
        self.fails = fails

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        if len(self.asked) == self.fails:
            raise KeyboardInterrupt
        self.asked.append(len(codes))
        return -1e-3 * (codes @ 3.0 ** np.arange(codes.shape[1]) % 17)


def cached(model: Any, path: Path) -> CachedEnergies:
    return CachedEnergies(model, EnergyCache(path))


def decorations(n: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, 3, (n, 12))


def test_what_is_known_is_not_asked_again(tmp_path: Path) -> None:
    codes, path = decorations(2 * PART + 5), tmp_path / "energies.json"
    expected = Numbered().energies(codes)
    broken = Numbered(fails=2)
    with pytest.raises(KeyboardInterrupt):
        cached(broken, path).energies(codes)
    rest = Numbered()
    kept = cached(rest, path)
    assert np.array_equal(kept.energies(codes), expected)
    assert (broken.asked, rest.asked, len(kept.cache)) == ([PART, PART], [5], len(codes))
    assert np.array_equal(kept.energies(codes[::-1]), expected[::-1])
    assert rest.asked == [5]


def test_a_pilot_that_was_killed_finds_the_same_ladder(tmp_path: Path) -> None:
    alloy, cell = Alloy(("Mo", "Ta", "V")), np.diag([3, 4, 1])
    path, counts = tmp_path / "energies.json", dict.fromkeys(("Mo", "Ta", "V"), 4)

    def ladder(model: Any) -> Any:
        rng = np.random.default_rng(3)
        asked = ExchangeLadder(lowest=300.0, highest=1500.0, acceptance=0.4)
        return run_pilot(model, alloy, cell, counts, asked, rng, training=40)

    whole = ladder(cached(Numbered(), tmp_path / "whole.json"))
    broken, rest = Numbered(fails=5), Numbered()
    with pytest.raises(KeyboardInterrupt):
        ladder(cached(broken, path))
    kept = cached(rest, path)
    assert ladder(kept) == whole
    assert sum(broken.asked) + sum(rest.asked) == len(kept.cache)
    assert len(rest.asked) > 0


def test_a_model_is_not_asked_when_the_batch_job_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([1e6, 1.0, 1e6])
    monkeypatch.setattr(energy_cache, "seconds_left", lambda: next(left))
    monkeypatch.setattr(OutOfTimeError, "happened", False)
    codes, model = decorations(PART + 1), Numbered()
    kept = cached(model, tmp_path / "energies.json")
    with pytest.raises(OutOfTimeError, match=f"1 s are left .* goes on after {PART}$"):
        kept.energies(codes)
    assert len(kept.energies(codes)) == PART + 1
    assert model.asked == [PART, 1]


def test_reasons_and_infinite_energies_are_read_again(tmp_path: Path) -> None:
    cells = {"a": 1, "b": 2, "c": 3}
    answers = {1: 0.1 + 0.2, 2: float("inf"), 3: "did not relax"}
    path, lines = tmp_path / "energies.json", []
    first = EnergyCache(path, lines.append).energies(cells, lambda part: [answers[c] for c in part])
    assert lines == ["3 of 3 cells"]
    again = EnergyCache(path, lines.append).energies(cells, lambda part: part / 0)
    assert first == again == {"a": 0.1 + 0.2, "b": float("inf"), "c": "did not relax"}
    assert lines == ["3 of 3 cells"]
