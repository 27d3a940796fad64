from __future__ import annotations

import numpy as np
import pytest

from hea_flows.alloy.thermodynamics.disorder import Disorder, deed


def test_deed_of_the_paper() -> None:
    # sqrt(1 / (0.0041 · 0.0361)) = sqrt(6756.30); three atoms per unit.
    assert deed(0.0041, 0.0292, 0.0069) == pytest.approx(82.197, abs=5e-4)
    assert deed(0.0041, 0.0292, 0.0069, atoms_per_unit=3) == pytest.approx(246.590, abs=5e-4)
    assert round(deed(0.0041, 0.0292, 0.0069)) == 82
    assert round(deed(0.0041, 0.0292, 0.0069, atoms_per_unit=3)) == 247
    # The same value from energies per atom.
    assert deed(0.0041 / 3, 0.0292 / 3, 0.0069 / 3) == pytest.approx(
        deed(0.0041, 0.0292, 0.0069, atoms_per_unit=3)
    )


@pytest.mark.parametrize(
    ("sigma", "mean", "depth"),
    [
        (0.0, 0.03, 0.01),
        (-0.1, 0.03, 0.01),
        (0.004, -0.02, 0.01),
        (0.004, -0.01, 0.01),
        (float("nan"), 0.03, 0.01),
    ],
)
def test_deed_is_undefined_below_the_hull(sigma: float, mean: float, depth: float) -> None:
    with pytest.raises(ValueError, match="DEED needs"):
        deed(sigma, mean, depth)
    assert Disorder(mean, sigma, depth).deed() is None


def test_disorder_of_given_energies() -> None:
    energies = [0.02, 0.03, 0.04]
    disorder = Disorder.of(energies, 0.007)
    assert (disorder.mean, disorder.sigma) == pytest.approx((0.03, np.std(energies, ddof=1)))
    assert disorder.deed(atoms_per_unit=3) == deed(
        disorder.sigma, disorder.mean, 0.007, atoms_per_unit=3
    )
