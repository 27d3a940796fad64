from __future__ import annotations

import math

import numpy as np
import pytest
from ase.units import kB
from potts import triangular_potts

from hea_flows.alloy.sampling.statistics import heat_capacity


def test_two_level_system_exactly() -> None:
    # exp(-gap/kT) = 1/3: one sample in four is excited; C/k_B = x² e^x/(1 + e^x)², x = ln 3.
    temperature = 700.0
    gap = kB * temperature * math.log(3)
    value, _ = heat_capacity([0.0, gap, 0.0, 0.0] * 50, temperature, 1)
    assert value == pytest.approx(math.log(3) ** 2 * 3 / 16, rel=1e-12)


def test_scales_with_the_number_of_units() -> None:
    rng = np.random.default_rng(0)
    e = rng.standard_normal(4000) * 0.001
    one, hundred = heat_capacity(e, 500.0, 1), heat_capacity(e, 500.0, 100)
    assert hundred == pytest.approx((100 * one[0], 100 * one[1]), rel=1e-12)


@pytest.mark.physics
@pytest.mark.parametrize("temperature", [250.0, 500.0, 1500.0])
def test_is_the_derivative_of_the_energy_of_a_potts_lattice(temperature: float) -> None:
    potts = triangular_potts()
    step = 0.1
    up, down = (potts.averages(temperature + s)[0] for s in (step, -step))
    exact = (up - down) / (2 * step) / kB
    assert potts.n_sites * potts.averages(temperature)[1] / (kB * temperature) ** 2 == (
        pytest.approx(exact, rel=1e-6)
    )
    rng = np.random.default_rng(int(temperature))
    # Every sample eight times over: an error that ignores it is too small by sqrt(8).
    runs = [
        heat_capacity(
            np.repeat(potts.sample(temperature, 1000, rng), 8), temperature, potts.n_sites
        )
        for _ in range(200)
    ]
    values, errors = np.array(runs).T
    assert values.mean() == pytest.approx(exact, abs=4 * values.std() / math.sqrt(200))
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.2)


def test_frozen_chain() -> None:
    assert heat_capacity([-0.1] * 20, 300.0, 9) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("energies", "temperature", "n", "match"),
    [
        ([1.0, 2.0], 0.0, 1, "temperature above 0 K"),
        ([1.0, 2.0], 300.0, 0, "at least one formula unit"),
        ([1.0], 300.0, 1, "at least 2 finite samples"),
        ([[1.0, 2.0]], 300.0, 1, "at least 2 finite samples"),
        ([1.0, math.inf], 300.0, 1, "at least 2 finite samples"),
    ],
)
def test_bad_input(energies, temperature, n, match) -> None:
    with pytest.raises(ValueError, match=match):
        heat_capacity(energies, temperature, n)
