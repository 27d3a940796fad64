from __future__ import annotations

import numpy as np
import pytest

from hea_flows.alloy.errors.label_time import predict_label_time


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_power_law_is_found_exactly() -> None:
    atoms = [3, 6, 6, 9, 12]
    told = predict_label_time(atoms, [0.5 * n**2.5 for n in atoms], [15, 15, 3], rng())
    expected = 0.5 * (2 * 15**2.5 + 3**2.5)
    assert (told.seconds, told.low, told.high) == pytest.approx((expected,) * 3)
    assert told.exponent == pytest.approx(2.5)
    assert (told.n, told.sizes) == (5, (3, 12))


def test_labels_of_one_size_take_their_mean() -> None:
    told = predict_label_time([6, 6, 6], [10.0, 20.0, 60.0], [6, 6], rng())
    assert told.seconds == pytest.approx(2 * 30)
    assert told.exponent is None
    assert told.low < 60 < told.high
    with pytest.raises(
        ValueError, match="3 timed labels have 6 atoms, which tells nothing of labels of 9"
    ):
        predict_label_time([6, 6, 6], [10.0, 20.0, 60.0], [6, 9], rng())


def test_scatter_alike_at_each_size_gives_each_size_its_mean() -> None:
    """Factors ½ and 2 around 100 and 800 s: the mean is 1.25 times the geometric mean."""
    told = predict_label_time([3, 3, 6, 6], [50.0, 200.0, 400.0, 1600.0], [6], rng())
    assert told.seconds == pytest.approx(1000)
    assert told.exponent == pytest.approx(3)


@pytest.mark.physics
def test_the_interval_covers_what_comes_as_often_as_it_says() -> None:
    source, inside = rng(3), 0
    for _ in range(200):
        atoms = source.choice([3, 6, 9, 12], size=30)
        seconds = 2 * atoms**2.0 * np.exp(0.3 * source.normal(size=30))
        planned = [12] * 20
        truth = (2 * 12**2.0 * np.exp(0.3 * source.normal(size=20))).sum()
        told = predict_label_time(
            atoms.tolist(), seconds.tolist(), planned, source, n_resamples=200
        )
        inside += told.low <= truth <= told.high
    assert 0.88 < inside / 200 <= 1


def test_what_is_no_time() -> None:
    for atoms, seconds in (([], []), ([3], [0.0]), ([3, 3], [1.0])):
        with pytest.raises(ValueError, match="need one positive time per label"):
            predict_label_time(atoms, seconds, [3], rng())
