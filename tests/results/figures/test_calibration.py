from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.stats import t

from hea_flows.alloy.errors.calibration import LEVELS, reliability
from hea_flows.alloy.errors.committee import Committee, build_committee
from hea_flows.results.figures.calibration import binned_rms, calibration_figure
from hea_flows.results.figures.files import to_svg
from hea_flows.results.figures.overlap import overlap_matrix
from hea_flows.results.figures.style import PALETTE


def note(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def made(n: int, seed: int) -> Committee:
    rng = np.random.default_rng(seed)
    width = 10 ** rng.uniform(-1, 1, n)
    return build_committee(width * rng.normal(size=(4, n)), 2 * width * rng.normal(size=n))


def marked(axes: Axes, marker: str) -> list[np.ndarray]:
    return [line.get_xydata() for line in axes.get_lines() if line.get_marker() == marker]


def test_bins_by_hand() -> None:
    spread, error = np.array([4.0, 1.0, 3.0, 2.0]), np.array([8.0, -1.0, 6.0, 7.0])
    spreads, errors = binned_rms(spread, error, 2)
    assert spreads == pytest.approx(np.sqrt([2.5, 12.5]))
    assert errors == pytest.approx(np.sqrt([25.0, 50.0]))
    total, wrong = binned_rms(spread, error, 1)
    assert (total[0] ** 2, wrong[0] ** 2) == pytest.approx((7.5, 37.5))
    with pytest.raises(ValueError, match="4 structures fill 1 to 4 bins, not 5"):
        binned_rms(spread, error, 5)


def test_every_structure_and_the_bins_are_drawn() -> None:
    pools = {"Database 1": made(40, 1), "Database 2": made(9, 2)}
    figure = calibration_figure(pools, "Mixing energies, relaxed.", scale=1.7)
    left, right = figure.axes
    points = marked(left, "o")
    for drawn, c in zip(points, pools.values(), strict=True):
        assert drawn == pytest.approx(np.column_stack([c.spread, np.abs(c.error)]))
    squares = marked(left, "s")
    assert [len(s) for s in squares] == [5, 1]
    for drawn, c in zip(squares, pools.values(), strict=True):
        assert drawn == pytest.approx(np.column_stack(binned_rms(c.spread, c.error, len(drawn))))
    [ideal] = [line for line in left.get_lines() if line.get_linestyle() == "--"]
    x, y = ideal.get_data()
    assert y == pytest.approx(1.7 * x)
    band = left.collections[0].get_paths()[0].vertices
    top = max(band[:, 1])
    assert top == pytest.approx(1.7 * x[-1] * t.ppf(0.95, 3))
    # Each label twice: as the spread is, and scaled.
    curves = [bars.lines[0].get_xydata() for bars in right.containers]
    expected = [reliability(c, scale=s) for c in pools.values() for s in (1.0, 1.7)]
    assert len(curves) == len(expected)
    for curve, r in zip(curves, expected, strict=True):
        assert curve == pytest.approx(np.column_stack([LEVELS, r.observed]))
    texts = [x.get_text() for x in right.get_legend().get_texts()]
    assert texts[1] == f"Database 1, n = 40, scale 1.7: area {expected[1].area:.2f}"
    assert "ideal, scale 1.7" in [x.get_text() for x in left.get_legend().get_texts()]
    assert note(figure).startswith("Mixing energies, relaxed. Spread: standard deviation of 4 mem")
    assert left.get_xlabel() == "spread of the committee (meV/unit)"


def test_what_is_left_out_and_errors_of_zero_are_shown() -> None:
    nan = float("nan")
    values = [[1.0, 2.0, nan, 5.0], [3.0, 5.0, nan, 8.0], [2.0, nan, 1.0, 2.0]]
    found = build_committee(values, [2.0, 3.0, 0.0, 9.0])
    figure = calibration_figure({"x": found}, "Energies.", unit="eV")
    left, right = figure.axes
    assert "Spread: standard deviation of 2 to 3 members." in note(figure)
    assert note(figure).endswith("Left out, without two members: 1.")
    [points] = marked(left, "o")
    assert points[0, 0] == pytest.approx(1.0)
    assert left.get_ylim()[0] < points[0, 1] <= 0.5  # error 0, at the lower edge
    assert points[1:, 1] == pytest.approx([0.5, 4.0])
    assert len(right.containers) == 1
    assert "ideal" in [x.get_text() for x in left.get_legend().get_texts()]
    assert left.get_ylabel() == "|error| of its mean (eV)"
    with pytest.raises(ValueError, match="no committees given"):
        calibration_figure({}, "Energies.")
    same = build_committee([[1.0, 2.0], [1.0, 3.0]], [0.0, 0.0])
    with pytest.raises(ValueError, match="members agree exactly on 1 of 2 structures"):
        calibration_figure({"x": same}, "Energies.")


def test_overlap_tells_shared_structures_of_all() -> None:
    test_sets = {"Database 1": {"a", "b", "c", "d"}, "$2": set("xy"), "empty": set()}
    training = {"Model 1": {"a", "z"}, "Model 4": {"a", "b", "c", "d", "x"}}
    figure = overlap_matrix(test_sets, training)
    axes = figure.axes[0]
    texts = [(x.get_position(), x.get_text()) for x in axes.texts]
    assert texts == [
        ((0, 0), "1 / 4"), ((1, 0), "0 / 2"), ((2, 0), "0 / 0"),
        ((0, 1), "4 / 4"), ((1, 1), "1 / 2"), ((2, 1), "0 / 0"),
    ]  # fmt: skip
    [image] = axes.images
    assert np.asarray(image.get_array()) == pytest.approx(np.array([[0.25, 0, 0], [1, 0.5, 0]]))
    assert image.get_clim() == (0, 1)
    assert to_hex(image.get_cmap()(1.0)) == PALETTE[0].lower()
    assert [x.get_text() for x in axes.get_xticklabels()] == ["Database 1", r"\$2", "empty"]
    assert [x.get_text() for x in axes.get_yticklabels()] == ["Model 1 (2)", "Model 4 (5)"]
    assert to_svg(figure) == to_svg(overlap_matrix(test_sets, training))
    with pytest.raises(ValueError, match="got 0 and 2"):
        overlap_matrix({}, training)
