from __future__ import annotations

import numpy as np
import pytest
from ase.units import kB

from hea_flows.alloy.phases import RedlichKister, equilibrium, simplex_grid

ELEMENTS = ("V", "Nb", "W")  # not sorted: databases sort, and odd terms change sign
TERMS = {
    (("V", "Nb"), 0): (0.16, -2e-5),
    (("V", "Nb"), 1): (0.03, 1e-5),
    (("V", "W"), 0): (0.12, 0.0),
    (("V", "W"), 1): (-0.02, 0.0),
    (("Nb", "W"), 0): (0.02, 1e-5),
    (("Nb", "W"), 1): (0.01, 0.0),
    (("V", "Nb", "W"), 0): (0.05, 0.0),
}
SOLUTION = RedlichKister(ELEMENTS, TERMS)


def test_a_fit_gives_back_the_parameters() -> None:
    x = np.vstack([simplex_grid(3, 7)] * 3)
    t = np.repeat([400.0, 700.0, 1000.0], len(x) // 3)
    g = np.array([SOLUTION.excess(row[None], k)[0] for row, k in zip(x, t, strict=True)])
    fitted, rmse = RedlichKister.fit(ELEMENTS, x, t, g, order=1)
    assert rmse < 1e-12
    assert fitted.parameters.keys() == TERMS.keys()
    for term, (a, b) in TERMS.items():
        assert fitted.parameters[term] == pytest.approx((a, b), abs=1e-9)
    one, _ = RedlichKister.fit(ELEMENTS, x[:36], t[:36], g[:36], order=1)
    assert all(b == 0 for _, b in one.parameters.values())
    with pytest.raises(ValueError, match="7 parameters need as many samples, got 4"):
        RedlichKister.fit(ELEMENTS, x[:4], t[:4], g[:4], order=1)


def test_pure_ends_are_zero_and_mixing_is_ideal_without_parameters() -> None:
    np.testing.assert_array_equal(SOLUTION.mixing(np.eye(3), 800.0), 0)
    ideal = RedlichKister(ELEMENTS, {}).mixing([[1 / 3] * 3], 800.0)
    assert ideal[0] == pytest.approx(-kB * 800 * np.log(3))


def test_a_database_has_the_same_energies_and_tie_lines_in_pycalphad() -> None:
    pycalphad = pytest.importorskip("pycalphad")
    v = pycalphad.variables
    joule = 96485.33212
    database = pycalphad.Database(SOLUTION.to_tdb("layer_2h", "S", 2))
    assert set(database.phases) == {"LAYER_2H"}
    temperature, overall = 700.0, {"V": 0.45, "NB": 0.25, "W": 0.30}
    points = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    components = ["V", "NB", "W", "S"]
    sites = np.array([[row[1], row[0], row[2], 1.0] for row in points])  # NB, V, W, then S
    found = pycalphad.calculate(
        database, components, "LAYER_2H", T=temperature, P=101325, N=1, points=sites, output="GM"
    )
    theirs = 3 * found.GM.values.squeeze() / joule  # per mole of atoms, three in a unit
    np.testing.assert_allclose(
        theirs, SOLUTION.mixing(points, temperature), atol=1e-6
    )  # its R has five digits
    conditions = {v.T: temperature, v.P: 101325, v.N: 1, v.X("S"): 2 / 3}
    conditions |= {v.X(e): overall[e] / 3 for e in ("V", "NB")}
    result = pycalphad.equilibrium(database, components, ["LAYER_2H"], conditions)
    shares = result.X.values.reshape(-1, 4)  # NB, S, V, W of each phase
    shares = shares[np.isfinite(shares).all(axis=1)]
    theirs = np.sort(3 * shares[:, 2])  # V of the alloyed sites
    ours = equilibrium(
        lambda x: SOLUTION.mixing(x, temperature), [overall[e] for e in ("V", "NB", "W")]
    )
    assert len(ours.fractions) == 2
    np.testing.assert_allclose(np.sort(ours.compositions[:, 0]), theirs, atol=0.002)
