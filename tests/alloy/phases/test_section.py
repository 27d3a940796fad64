"""A binary from chains: independent samples of a known free energy give it back, with errors."""

from __future__ import annotations

import numpy as np
import pytest
from ase.units import kB
from regular_solution import chains, free_energy

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.phases import (
    CompositionChain,
    CompositionLadder,
    SectionPoint,
    critical_point,
    section_point,
    zero_crossing,
)
from hea_flows.alloy.sampling import VariableComposition

N, OMEGA, T = 60, 0.11, 480.0
BETA = 1 / (kB * T)
SITES = np.arange(N + 1)


def test_points_of_an_ideal_alloy_are_where_they_should_be() -> None:
    ladder = CompositionLadder(N, 4.0)
    ideal = free_energy(N, 0.0, T)
    assert (np.diff(ladder.compositions) > 0).all()
    assert ladder.compositions[[0, -1]] == pytest.approx([0.5 / N, 1 - 0.5 / N])
    for point, x in enumerate(ladder.compositions):
        exponent = ladder.log_weight(point, BETA) - ideal
        shares = np.exp(exponent - exponent.max())
        mean = float(shares @ SITES / shares.sum() / N)
        assert mean == pytest.approx(x, abs=0.6 / N)


@pytest.mark.parametrize("h", [(0.2, 0.2), (-0.3, 0.1)])
def test_potentials_are_the_slope_of_the_energy_of_mixing(h: tuple[float, float]) -> None:
    ladder = CompositionLadder(N, 4.0, h)
    x, step = ladder.compositions, 1e-6

    def energy(x: np.ndarray) -> np.ndarray:
        return x * (1 - x) * ((1 - x) * h[0] + x * h[1])

    slopes = (energy(x + step) - energy(x - step)) / (2 * step)
    assert ladder.potentials == pytest.approx(slopes, abs=1e-8)


def test_a_stable_ladder_outweighs_the_curvature_of_the_dilute_limits() -> None:
    """Of a regular solution at 0.4 T_c: f″ = 4 − 2Ω/k_BT at the middle."""
    cold = 0.4 * OMEGA / (2 * kB)
    ladder = CompositionLadder.stable(N, cold, (OMEGA, OMEGA))
    assert 2 * ladder.kappa == pytest.approx(2 * OMEGA / (kB * cold) - 4 + 4, abs=0.01)
    assert CompositionLadder.stable(N, 1e4, (OMEGA, OMEGA)).kappa == 4.0


def test_the_ensemble_has_the_weights_that_are_told() -> None:
    ladder = CompositionLadder(9, 3.0, (0.1, -0.2))
    ensemble = ladder.ensemble(Alloy(("Nb", "V")))
    assert isinstance(ensemble, VariableComposition)
    assert ensemble.n_points == len(ladder.compositions)
    for point in (0, ensemble.n_points - 1):
        log_weights = [
            ensemble.log_weight(np.repeat([0, 1], [9 - k, k]), BETA, point) for k in range(10)
        ]
        told = ladder.log_weight(point, BETA)
        assert np.array(log_weights) - log_weights[0] == pytest.approx(told - told[0])


def test_a_known_free_energy_is_found_within_its_errors() -> None:
    rng = np.random.default_rng(3)
    point = section_point(T, chains(N, OMEGA, T, 400, rng), rng)
    exact = 1e3 * OMEGA * SITES * (N - SITES) / N**2
    off = np.abs(np.array(point.excess_mev) - exact)
    errors = np.array(point.excess_error_mev)
    assert off.max() < 1.0
    assert (off[1:-1] < 5 * errors[1:-1] + 1e-3).all()
    assert np.median(off[1:-1] / errors[1:-1]) == pytest.approx(0.7, abs=0.6)
    [gap] = point.gaps
    assert point.gap_share == 1
    assert gap.low == pytest.approx(1 - gap.high, abs=4 * (gap.low_error + gap.high_error))
    assert gap.potential == pytest.approx(0, abs=4 * gap.potential_error)
    assert 0 < gap.low_error < 0.02


def test_chains_that_share_no_composition_are_refused() -> None:
    weight = np.zeros(N + 1)
    apart = [CompositionChain(np.full(20, n), weight) for n in (3, 40)]
    with pytest.raises(ValueError, match="chains at sites 40–40 share no composition"):
        section_point(T, apart, np.random.default_rng(0))


def test_where_a_quantity_zero_crossing() -> None:
    at, error = zero_crossing([1, 2, 3], [0.02, 0.01, -0.03], [0, 0.01, 0.03]) or (0, 0)
    assert at == pytest.approx(2.25)
    assert error == pytest.approx(np.hypot(0.75 * 0.01, 0.25 * 0.03) / 0.04)
    assert zero_crossing([1, 2], [-0.1, -0.2], [0, 0]) is None
    assert zero_crossing([1, 2, 3], [0.1, np.nan, -0.1], [0, 0, 0]) == (2.0, 0.0)


def test_cells_are_compared_where_both_are_known() -> None:
    def point(t: float, cumulant: float) -> SectionPoint:
        return known.model_copy(update={"temperature": t, "cumulant": cumulant})

    rng = np.random.default_rng(0)
    known = section_point(T, chains(N, 0.0, T, 30, rng), rng)
    small = [point(300, 0.64), point(400, 0.6), point(500, 0.5)]
    found = critical_point([small, [point(300, 0.66), point(500, 0.46)]], layer=False)
    assert found is not None
    assert found.temperature == pytest.approx(300 + 200 * 0.02 / 0.06)


def test_one_cell_of_a_bulk_host_gives_no_critical_temperature() -> None:
    rng = np.random.default_rng(0)
    point = section_point(T, chains(N, 0.0, T, 30, rng), rng)
    assert critical_point([[point]], layer=False) is None
