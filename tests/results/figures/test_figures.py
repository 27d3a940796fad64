from __future__ import annotations

import re
from math import nan

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hea_flows.results.figures.files import data_uri, to_svg
from hea_flows.results.figures.models import (
    fractions,
    learning_curve,
    mixing_by_composition,
    parity,
)
from hea_flows.results.figures.montecarlo import order_parameters, snapshot_chains
from hea_flows.results.figures.style import element_colours, phase_name
from hea_flows.results.figures.thermodynamics import gibbs_energy, random_energies
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import AlloySpec


def legend_texts(axes: Axes) -> list[str]:
    return [t.get_text() for t in axes.get_legend().get_texts()]


def note(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def test_parity_tells_the_error_of_the_points_it_draws(inputs: CampaignDocuments) -> None:
    figure = parity(*inputs.benchmarks, "relaxed")
    total_before, total_after, before, after = figure.axes
    assert legend_texts(before) == [
        "training, n = 30: MAE 20 meV/unit",
        "held-out, n = 14: MAE 20 meV/unit",
    ]
    assert legend_texts(after) == [
        "training, n = 30: MAE 2.5 meV/unit",
        "held-out, n = 15: MAE 2.5 meV/unit",
    ]
    assert legend_texts(total_after) == legend_texts(after)
    assert total_before.get_xlabel() == "reference (eV/unit)"
    assert before.get_xlabel() == "reference (meV/unit)"
    assert "relaxed" in note(figure)
    assert "end points of the primitive cell" in note(figure)
    markers = {line.get_marker() for line in after.get_lines() if line.get_ls() == "None"}
    assert markers == {"o", "D"}


def test_parity_without_relaxed_energies_says_so(inputs: CampaignDocuments) -> None:
    empty = [b.model_copy(update={"relaxed": []}) for b in inputs.benchmarks]
    figure = parity(*empty, "relaxed")
    assert all(not axes.axison for axes in figure.axes)
    assert "no relaxed energies of the foundation model" in figure.axes[0].texts[0].get_text()
    to_svg(figure)


def test_parity_leaves_out_what_is_not_a_number(inputs: CampaignDocuments) -> None:
    before, after = inputs.benchmarks
    points = [
        p.model_copy(update={"model_mixing_mev": nan}) if p.test_set == "held-out" else p
        for p in after.relaxed
    ]
    figure = parity(before, after.model_copy(update={"relaxed": points}), "relaxed")
    assert legend_texts(figure.axes[3]) == ["training, n = 30: MAE 2.5 meV/unit"]
    to_svg(figure)


def test_fractions_count_the_alloyed_sites_only() -> None:
    assert fractions("Mo2W1S6", ("Mo", "W")) == {"Mo": 2 / 3, "W": 1 / 3}
    assert fractions("Nb1Ta3", ("Ta", "Nb")) == {"Ta": 0.75, "Nb": 0.25}


def test_every_binary_has_a_panel_with_its_reference_energies(inputs: CampaignDocuments) -> None:
    figure = mixing_by_composition(
        inputs.benchmarks[1], inputs.benchmarks[0], inputs.alloy.elements, "relaxed"
    )
    panels = {a.get_title(loc="left"): a for a in figure.axes if "–" in a.get_title(loc="left")}
    assert len(panels) == 10
    expected = sorted(
        p.reference_mixing_mev
        for p in inputs.benchmarks[1].relaxed
        if set(fractions(p.formula, inputs.alloy.elements)) == {"Mo", "Ta"}
    )
    [circles] = [x for x in panels["Mo–Ta"].get_lines() if x.get_marker() == "o"]
    assert sorted(circles.get_ydata()) == expected
    assert "relaxed" in note(figure)


def test_mixing_figure_without_benchmarks_or_binaries(inputs: CampaignDocuments) -> None:
    figure = mixing_by_composition(None, None, ("Mo", "W"), "fixed")
    assert [a.texts[0].get_text() for a in figure.axes] == [
        "no binary structures in this benchmark",
        "no alloyed structures in this benchmark",
    ]
    to_svg(figure)


def test_learning_curve_draws_what_is_positive(inputs: CampaignDocuments) -> None:
    [doc] = inputs.trainings
    broken = doc.model_copy(
        update={
            "curve": [
                e.model_copy(update={"validation_energy_mev": v})
                for e, v in zip(doc.curve, [nan, 0.0, *[4.0] * 28], strict=True)
            ]
        }
    )
    left, right = learning_curve([broken]).axes
    assert left.get_yscale() == right.get_yscale() == "log"
    assert np.isnan(left.get_lines()[0].get_ydata()[:2]).all()
    assert left.get_ylabel() == "validation RMSE (meV/atom)"
    assert right.get_lines()[0].get_ydata()[-1] == 8 + 120 / 30
    empty = learning_curve([])
    assert [a.texts[0].get_text() for a in empty.axes] == ["no learning curve"] * 2


def test_order_parameters_with_errors_and_snapshots(inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    figure = order_parameters(doc)
    unlike, like, *shots = figure.axes
    assert len(legend_texts(unlike)) == 10
    assert legend_texts(like)[0] == "V–V"  # the strongest at the lowest temperature leads
    assert "fixed lattice" in note(figure)
    assert "3.241 Å" in note(figure)
    assert [a.get_title() for a in shots] == [f"{t} K, after 5000 trials" for t in (200, 400, 1000)]
    colours = element_colours(inputs.alloy.elements)
    drawn = shots[0].collections[0].get_facecolors()
    species = doc.chains[0].final_species
    bars = like.containers[-1].lines[2][0].get_segments()  # V–V, coldest first
    expected = [
        [[r.temperature, r.order_parameters["1"]["V-V"] + s * 0.003] for s in (-1, 1)]
        for r in doc.averages
    ]
    np.testing.assert_allclose(bars, expected, atol=1e-12)
    band = next(p for p in like.patches if isinstance(p, mpl.patches.Rectangle))
    assert (band.get_x(), band.get_width()) == (390, 41)
    assert [tuple(c) for c in drawn] == [mpl.colors.to_rgba(colours[s]) for s in species]


def test_snapshot_sites_are_nearest_neighbours_on_the_lattice(inputs: CampaignDocuments) -> None:
    figure = order_parameters(inputs.montecarlo[0])
    centres = np.array(
        [
            p.get_extents().get_points().mean(axis=0)
            for p in figure.axes[2].collections[0].get_paths()
        ]
    )
    assert len(centres) == 100
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    nearest = np.sort(distances, axis=1)[:, 1]
    assert nearest == pytest.approx(3.241, abs=1e-6)


def test_one_temperature_and_bulk_hosts_can_be_drawn(inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    kept = {
        name: [r for r in getattr(doc, name) if r.temperature == 300]
        for name in ("chains", "averages")
    }
    one = doc.model_copy(update=kept)
    assert [(c.temperature, c.run) for c in snapshot_chains(one)] == [(300, 0)]
    to_svg(order_parameters(one))
    bulk = AlloySpec(elements=("Mo", "Ta", "Nb", "W", "V"), prototype="bcc", anion=None)
    assert len(order_parameters(one.model_copy(update={"alloy": bulk})).axes) == 2


def test_gibbs_lines_cross_where_transitions_are_marked(inputs: CampaignDocuments) -> None:
    [doc] = inputs.thermodynamics
    left, right = gibbs_energy(doc, inputs.alloy).axes
    lines = {x.get_label(): x for x in left.get_lines() if "S₂" in str(x.get_label())}
    assert set(lines) == {"(Mo,Ta,Nb,W,V)S₂", "(Mo,W)S₂ + (Ta,Nb)S₂ + VS₂", "(Mo,Ta,Nb,W)S₂ + VS₂"}
    t = lines["(Mo,Ta,Nb,W,V)S₂"].get_xdata()
    a = lines["(Mo,Ta,Nb,W,V)S₂"].get_ydata()
    b = lines["(Mo,Ta,Nb,W)S₂ + VS₂"].get_ydata()
    assert np.interp(0, b[::-1] * -1 + a[::-1], t[::-1]) == pytest.approx(
        doc.decomposition_temperature, rel=1e-9
    )
    marked = [text.get_text() for text in right.texts]
    assert marked == [f"{x:.0f} K" for x, _ in doc.transitions[1:]]
    assert left.get_ylabel() == "G relative to the end members (meV/unit)"


def test_the_band_is_the_interval_and_both_sqs_are_marked(surer: CampaignDocuments) -> None:
    [doc] = surer.thermodynamics
    for axes in gibbs_energy(doc, surer.alloy).axes:
        [band] = axes.patches
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((480, 730))
        assert axes.get_xlim()[1] > 730
    [axes] = random_energies(doc).axes
    assert legend_texts(axes)[2:] == ["SQS, model 25.5 meV/unit", "SQS, toy 27.0 meV/unit"]
    lines = [x.get_xdata()[0] for x in axes.get_lines()]
    assert lines[1:] == pytest.approx([638 / 25, 638 / 25 + 1.5])


def test_gibbs_of_one_decomposition_or_none(inputs: CampaignDocuments) -> None:
    [doc] = inputs.thermodynamics
    one = doc.model_copy(
        update={"decompositions": doc.decompositions[:1], "transitions": [(0.0, "(Mo,Ta,Nb,W,V)")]}
    )
    to_svg(gibbs_energy(one))
    to_svg(gibbs_energy(doc.model_copy(update={"decompositions": [], "transitions": []})))


def test_histogram_counts_every_finite_energy(inputs: CampaignDocuments) -> None:
    [doc] = inputs.thermodynamics
    [axes] = random_energies(doc).axes
    assert sum(p.get_height() for p in axes.containers[0]) == 500
    assert axes.get_title(loc="left") == "DEED 84.4 (eV/unit)⁻¹ = 253 (eV/atom)⁻¹"
    assert legend_texts(axes)[1:] == ["mean 29.2, σ 4.10 meV/unit", "SQS 25.5 meV/unit"]
    odd = doc.model_copy(update={"random_mixing_mev": [3.0, nan], "deed_per_unit": None})
    [axes] = random_energies(odd).axes
    assert sum(p.get_height() for p in axes.containers[0]) == 1
    assert axes.get_title(loc="left") == "DEED is not defined here"


def test_colours_are_distinct_and_do_not_depend_on_company() -> None:
    colours = element_colours(("Mo", "Ta", "Nb", "W", "V", "Ti", "Cr", "Fe", "Ni"))
    assert len(set(colours.values())) == 9
    assert element_colours(("V",))["V"] == colours["V"]


def test_phases_are_written_as_formulas() -> None:
    assert phase_name("Mo-W", "S₂") == "(Mo,W)S₂"
    assert phase_name("V", "S₂") == "VS₂"


def test_figures_leave_matplotlib_alone_and_repeat_byte_for_byte(inputs: CampaignDocuments) -> None:
    before = dict(mpl.rcParams)
    first = data_uri(random_energies(inputs.thermodynamics[0]))
    assert first == data_uri(random_energies(inputs.thermodynamics[0]))
    assert dict(mpl.rcParams) == before


def test_text_with_dollar_signs_is_no_formula(inputs: CampaignDocuments) -> None:
    [doc] = inputs.trainings
    model = doc.model.model_copy(update={"name": "x$\\frac{$"})
    svg = to_svg(learning_curve([doc.model_copy(update={"model": model})]))
    assert re.search(rb"<svg", svg)
