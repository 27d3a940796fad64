from __future__ import annotations

from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.sets.named import parse
from hea_flows.cli import main
from hea_flows.results.paper.errors import error_bars, learning_by_size, seed_scatter
from hea_flows.results.paper.files import FORMATS, figure_bytes
from hea_flows.results.paper.mixing import (
    ViolinNumbers,
    binary_mixing,
    component_violins,
    label_mixing,
    violin_numbers,
)
from hea_flows.results.paper.panels import PANELS, draw_panel, set_name, studies_of
from hea_flows.results.paper.parity import parity_by_model, parity_grid
from hea_flows.results.paper.structures import (
    cell_views,
    counts_per_combination,
    enumeration_table,
    sets_table,
)
from hea_flows.results.paper.study import Study, errors_of, over_seeds
from hea_flows.results.report.inputs import ReportInputs
from hea_flows.results.report.style import PALETTE, element_colours
from hea_flows.schemas import (
    AlloySpec,
    Document,
    LabelDoc,
    StructureEntry,
    StructuresDoc,
)
from hea_flows.services.connection import Connection

ELEMENTS = ("Mo", "Ta", "Nb", "W", "V")
ALLOY = AlloySpec(elements=ELEMENTS)
PURE = {"Mo": -21.0, "Ta": -22.0, "Nb": -20.0, "W": -23.0, "V": -19.0}


def structures(expression: str) -> StructuresDoc:
    entries = [
        StructureEntry.from_ordering(o, expression)
        for o in parse(expression).build(ALLOY.to_alloy(), 1)
    ]
    return StructuresDoc(
        alloy=ALLOY, expression=expression, seed=1, n_structures=len(entries), structures=entries
    )


def label(entry: StructureEntry, mixing_mev: float, **changes: object) -> LabelDoc:
    """Return a label whose mixing energy is the one given."""
    energy = sum(PURE[s] + mixing_mev / 1000 for s in entry.species)
    doc = LabelDoc(
        structure=entry,
        engine="toy",
        settings={},
        settings_id="0123456789ab",
        calculation="relax",
        state="converged",
        energy=energy,
        n_frames=1,
    )
    return doc.model_copy(update=changes)


@pytest.fixture(scope="module")
def labels() -> list[LabelDoc]:
    pure = [label(e, 0.0) for e in structures("1(1)").structures]
    alloyed = structures("2(2,3)+3(3)").structures
    return pure + [label(e, 1.5 * i - 20) for i, e in enumerate(alloyed)]


@pytest.fixture(scope="module")
def tuned(inputs: ReportInputs) -> Study:
    bench = inputs.benchmarks[1]
    held = frozenset(p.structure_id for p in bench.fixed if p.test_set == "held-out")
    return Study("Model 4", bench, "held out", held, inputs.trainings[0], inputs.datasets[0])


def with_errors(study: Study, text: str, test_set: str, size: float, seed: int = 0) -> Study:
    """Return a study whose every relaxed mixing energy is wrong by `size` times its components."""
    points = [
        p.model_copy(
            update={"model_mixing_mev": p.reference_mixing_mev + size * p.n_components * (-1) ** i}
        )
        for i, p in enumerate(study.benchmark.relaxed)
    ]
    bench = study.benchmark.model_copy(update={"relaxed": points})
    assert study.training is not None
    settings = study.training.settings.model_copy(update={"seed": seed})
    tuning = study.training.model_copy(update={"settings": settings})
    return Study(text, bench, test_set, study.structure_ids, tuning, study.dataset)


def note(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def drawn(axes: Axes, marker: str) -> list[tuple[float, float]]:
    lines = [x for x in axes.get_lines() if x.get_marker() == marker and x.get_ls() == "None"]
    return [(float(x), float(y)) for line in lines for x, y in line.get_xydata()]


@pytest.mark.parametrize("part", ["held-out", "training"])
@pytest.mark.parametrize("geometry", ["fixed", "relaxed"])
def test_errors_are_the_numbers_of_the_benchmark_tables(
    inputs: ReportInputs, part: str, geometry: str
) -> None:
    for bench in inputs.benchmarks:
        [table] = [t for t in bench.tables if (t.test_set, t.geometry) == (part, geometry)]
        study = Study("m", bench, part)
        for quantity, value in (("mixing", table.mixing_mae_mev), ("total", table.total_mae_mev)):
            errors = errors_of(study, geometry, quantity)
            assert errors is not None
            assert errors.mae == pytest.approx(value, abs=1e-9)
            assert errors.n == table.n
            trained = part == "training" and bench.role == "fine-tuned"
            assert errors.n_training == (table.n if trained else 0)


def test_lost_structures_are_counted_and_in_no_error(inputs: ReportInputs) -> None:
    study = Study("foundation", inputs.benchmarks[0])
    errors = errors_of(study, "relaxed", "mixing")
    assert errors is not None
    assert errors.lost == 1
    assert study.lost("fixed") == 0
    points = list(study.benchmark.relaxed)
    points[-1] = points[-1].model_copy(update={"model_mixing_mev": float("nan")})
    broken = study.benchmark.model_copy(update={"relaxed": points})
    less = errors_of(Study("foundation", broken), "relaxed", "mixing")
    assert less is not None
    assert (less.lost, less.n) == (2, errors.n - 1)
    assert less.mae == pytest.approx(20.0)
    assert errors_of(Study("m", broken, structure_ids=frozenset()), "fixed", "mixing") is None


def test_errors_by_components_and_over_seeds(tuned: Study) -> None:
    errors = errors_of(with_errors(tuned, "m", "d", 1.5), "relaxed", "mixing")
    assert errors is not None
    assert {n: round(v, 9) for n, v in errors.by_components.items()} == {
        n: 1.5 * n for n in errors.by_components
    }
    again = errors_of(with_errors(tuned, "m", "d", 3.0), "relaxed", "mixing")
    assert again is not None
    assert over_seeds([errors]) == (errors.mae, errors.low, errors.high)
    assert over_seeds([again, errors]) == (
        (errors.mae + again.mae) / 2,
        errors.mae,
        again.mae,
    )


def test_documents_that_do_not_belong_together_are_refused(tuned: Study) -> None:
    assert tuned.dataset is not None
    other = tuned.dataset.model_copy(update={"checksum": "ef" * 32})
    with pytest.raises(ValueError, match="it was trained on the dataset cdcdcdcd, given is efefe"):
        Study("Model 4", tuned.benchmark, "d", None, tuned.training, other)
    model = tuned.benchmark.model.model_copy(update={"sha256": "00" * 32})
    wrong = tuned.benchmark.model_copy(update={"model": model})
    with pytest.raises(ValueError, match="the benchmark is of the model 00000000"):
        Study("Model 4", wrong, "d", None, tuned.training)
    another = Study("m", tuned.benchmark.model_copy(update={"settings_id": "other"}))
    with pytest.raises(ValueError, match="found 0123456789ab, other"):
        error_bars([tuned, another], "relaxed", "mixing")
    with pytest.raises(ValueError, match="no studies given"):
        parity_grid([], "relaxed", "mixing")


@pytest.mark.parametrize("quantity", ["total", "mixing"])
def test_bars_are_as_high_as_the_tables_say(
    inputs: ReportInputs, tuned: Study, quantity: str
) -> None:
    before = inputs.benchmarks[0]
    studies = [
        Study("CHGNet", before, "held out", tuned.structure_ids),
        tuned,
        Study("CHGNet", before, "all"),
        Study("Model 4", tuned.benchmark, "all"),
    ]
    figure = error_bars(studies, "relaxed", quantity)
    [axes] = figure.axes
    bars = [(p.get_x() + p.get_width() / 2, p.get_height(), p.get_hatch()) for p in axes.patches]
    assert [round(x, 6) for x, *_ in bars] == [-0.2, 0.8, 0.2, 1.2]
    assert [h for _, h, _ in bars] == pytest.approx([20.0, 2.5, 20.0, 2.5])
    # Only the last holds structures that its model was trained on.
    assert [bool(hatch) for *_, hatch in bars] == [False, False, False, True]
    assert "meV/unit" in axes.get_ylabel()
    assert "relaxed" in note(figure)
    assert "Without an energy, and in no error: 2" in note(figure)


@pytest.mark.parametrize(("quantity", "unit"), [("total", "eV/unit"), ("mixing", "meV/unit")])
def test_parity_draws_every_point_once(
    inputs: ReportInputs, tuned: Study, quantity: str, unit: str
) -> None:
    before = inputs.benchmarks[0]
    studies = [
        Study("CHGNet", before, "all"),
        Study("Model 4", tuned.benchmark, "all"),
        tuned,
    ]
    figure = parity_by_model(studies, "relaxed", quantity)
    assert [a.get_title(loc="left") for a in figure.axes] == ["CHGNet", "Model 4"]
    first, second = figure.axes
    assert len(drawn(first, "o")) == 44
    assert len(drawn(second, "o")) == 45 + 15
    points = [p for p in before.relaxed if p.n_components > 1]
    expected = [
        (p.reference_energy, p.model_energy)
        if quantity == "total"
        else (p.reference_mixing_mev, p.model_mixing_mev)
        for p in points
    ]
    assert drawn(first, "o") == expected
    hollow = [x for x in second.get_lines() if x.get_markerfacecolor() == "none"]
    assert [len(x.get_xdata()) for x in hollow] == [30]
    # Errors alternate: 23 of 45 are +2.5, and 7 of the 15 held out.
    texts = [(t.get_text(), t.get_color()) for t in second.texts]
    assert texts[0][0] == "MAE (bias) in meV/unit; n"
    signs = np.sign([p.model_energy - p.reference_energy for p in tuned.benchmark.relaxed])
    held = [p.test_set == "held-out" for p in tuned.benchmark.relaxed]
    alloyed = [p.n_components > 1 for p in tuned.benchmark.relaxed]
    bias = [f"{2.5 * signs[which].mean():+.2f}".replace("-", "−") for which in (alloyed, held)]
    assert texts[1:] == [
        (f"2.5 ({bias[0]}); 45", PALETTE[0]),
        (f"2.5 ({bias[1]}); 15", PALETTE[1]),
    ]
    [legend] = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["all", "held out", "open: trained on"]
    assert (first.get_ylabel(), second.get_ylabel()) == (f"model ({unit})", "")
    assert first.get_xlim() == first.get_ylim() == second.get_xlim()
    assert [len(a.child_axes) for a in figure.axes] == [int(quantity == "total")] * 2
    if quantity == "total":
        steps = second.child_axes[0].patches  # errors of the test sets, every structure once
        counted = [float(np.abs(np.diff(p.get_xy()[:, 1])).sum()) for p in steps]
        assert [len(steps), counted[0]] == [2, 2 * 45]


def test_inset_counts_the_errors_of_total_energies(tuned: Study) -> None:
    [axes] = parity_by_model([tuned], "relaxed", "total").axes
    [inset] = axes.child_axes
    errors = [1e3 * (p.model_energy - p.reference_energy) for p in tuned.points("relaxed")]
    heights, edges = np.histogram(errors, bins=21)
    outline = inset.patches[0].get_xy()
    assert outline[0, 0] == pytest.approx(edges[0])
    assert outline[:, 0].max() == pytest.approx(edges[-1])
    assert outline[:, 1].max() == heights.max()


def test_seeds_are_told_and_statistics_stand_where_few_points_are(tuned: Study) -> None:
    low = [with_errors(tuned, "Model 4", "d", 2.0, seed) for seed in (1, 2)]
    [axes] = parity_by_model(low, "relaxed", "mixing").axes
    assert {t.get_text().split("; ")[1] for t in axes.texts} == {"n", "30, 2 seeds"}
    moved = []
    for sign in (1, -1):
        points = [
            p.model_copy(update={"model_mixing_mev": p.reference_mixing_mev + 9.0 * sign})
            for p in tuned.benchmark.relaxed
        ]
        bench = tuned.benchmark.model_copy(update={"relaxed": points})
        [axes] = parity_by_model([Study("m", bench)], "relaxed", "mixing").axes
        moved.append([(t.get_text(), t.get_position()[1] > 0.5) for t in axes.texts])
    # All above the diagonal: below it, the heading on top; and the other way round.
    assert moved == [
        [("9 (+9.00); 45", False), ("MAE (bias) in meV/unit; n", False)],
        [("MAE (bias) in meV/unit; n", True), ("9 (−9.00); 45", True)],
    ]


def test_parity_grid_has_a_panel_per_model_and_test_set(tuned: Study) -> None:
    rest = Study("R1", tuned.benchmark, "all")
    figure = parity_grid([tuned, rest], "fixed", "mixing")
    counts = {a.get_title(loc="left"): len(drawn(a, "o")) for a in figure.axes if a.axison}
    assert counts == {"Model 4: held out": 15, "R1: all": 45}
    empty = [a for a in figure.axes if not a.axison]
    assert [a.texts[0].get_text() for a in empty] == ["no fixed energies"] * 2


def test_parity_grid_gathers_kinds_of_models(tuned: Study) -> None:
    def named(label: str, test_set: str) -> Study:
        return with_errors(tuned, label, test_set, 1.0)

    studies = [named(m, d) for m in ("E(2,4)", "R×1", "E(2,4,6)") for d in ("rand", "enum")]
    kinds = {"E(2,4)": "enumerated", "E(2,4,6)": "enumerated", "R×1": "random"}
    figure = parity_grid(studies, "relaxed", "mixing", kinds)
    titles = [a.get_title(loc="left") for a in figure.axes]
    assert titles == ["enumerated: rand", "enumerated: enum", "random: rand", "random: enum"]
    colours = [{x.get_markeredgecolor() for x in a.get_lines()[:-1]} for a in figure.axes]
    assert colours == [{PALETTE[0], PALETTE[2]}] * 2 + [{PALETTE[1]}] * 2
    assert [len(drawn(a, "o")) for a in figure.axes] == [30, 30, 15, 15]
    [legend] = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["E(2,4)", "R×1", "E(2,4,6)"]
    words = "reference mixing energy (meV/unit)"
    assert [a.get_xlabel() for a in figure.axes] == ["", "", words, words]
    assert [a.get_ylabel() for a in figure.axes] == ["model (meV/unit)", ""] * 2


def smaller(study: Study, keep: int) -> Study:
    """Return a study of a model trained on the first `keep` structures of the dataset."""
    assert study.dataset is not None
    n_frames = dict(list(study.dataset.n_frames.items())[:keep])
    dataset = study.dataset.model_copy(update={"n_frames": n_frames})
    return Study(
        "Model 1", study.benchmark, study.test_set, study.structure_ids, study.training, dataset
    )


def test_learning_curve_is_ordered_by_the_training_set(tuned: Study) -> None:
    big = with_errors(tuned, "Model 4", "Database 2", 1.0)
    small = smaller(with_errors(tuned, "Model 1", "Database 2", 4.0), 15)
    assert (small.n_training_structures(), big.n_training_structures()) == (10, 30)
    figure = learning_by_size([big, small], "relaxed")
    [axes] = figure.axes
    assert [t.get_text() for t in axes.get_xticklabels()] == [
        "Model 1\n10 / 45",
        "Model 4\n30 / 105",
    ]
    lines = {line.get_label(): line for line in axes.get_lines()}
    shown = sorted(n for n in lines if n.endswith("elements"))
    points = big.points("relaxed")
    assert shown == [f"{n} elements" for n in sorted({p.n_components for p in points})]
    for n in {p.n_components for p in points}:
        assert lines[f"{n} elements"].get_ydata() == pytest.approx([4.0 * n, 1.0 * n])
    mean = float(np.mean([p.n_components for p in points]))
    [bars] = axes.containers
    assert bars.get_label() == "average"
    assert axes.get_xlabel() == "structures / frames of the training set"
    assert bars.lines[0].get_ydata() == pytest.approx([4 * mean, mean])
    with pytest.raises(ValueError, match="Model 1 has no dataset document"):
        learning_by_size([Study("Model 1", tuned.benchmark)], "relaxed")
    renamed = Study(
        "Model 4",
        *(getattr(small, f) for f in ("benchmark", "test_set")),
        small.structure_ids,
        small.training,
        small.dataset,
    )
    with pytest.raises(ValueError, match="stands for training sets of 30 and 10"):
        learning_by_size([big, renamed], "relaxed")


def test_scatter_draws_a_point_per_seed_and_their_mean(tuned: Study) -> None:
    studies = [
        with_errors(tuned, "Model 4", "d", size, seed) for seed, size in ((2, 3.0), (1, 1.0))
    ]
    studies.append(with_errors(tuned, "annealed 25 %", "d", 5.0))
    [axes] = seed_scatter(studies, "relaxed").axes
    mean = float(np.mean([p.n_components for p in tuned.points("relaxed")]))
    points = drawn(axes, "o")
    assert [y for _, y in points] == pytest.approx([1 * mean, 3 * mean, 5 * mean])  # by seed
    assert [round(x) for x, _ in points] == [0, 0, 1]
    bars = [line.get_ydata()[0] for line in axes.get_lines() if line.get_ls() == "-"]
    assert bars == pytest.approx([2 * mean, 5 * mean])
    # Of errors 1 and 3 the standard deviation is √2; a single model has none.
    assert [t.get_text() for t in axes.texts] == [f"{2 * mean:.2f} ± {np.sqrt(2) * mean:.2f}"]


def test_violin_numbers_by_hand() -> None:
    assert violin_numbers([1, 2, 3, 4, 100]) == ViolinNumbers(2, 3, 4, 1, 4, (100.0,))
    assert violin_numbers([5.0]) == ViolinNumbers(5, 5, 5, 5, 5, ())
    for bad in ([], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="a violin needs finite values"):
            violin_numbers(bad)


def test_label_mixing_gives_back_what_the_labels_were_made_of(labels: list[LabelDoc]) -> None:
    found = label_mixing(labels)
    assert len(found) == 80
    assert [x.mixing_mev for x in found] == pytest.approx([1.5 * i - 20 for i in range(80)])
    spoilt = [
        labels[5].model_copy(update={"state": "unconverged"}),
        labels[6].model_copy(update={"flags": ["left its phase"]}),
    ]
    assert len(label_mixing([*labels[:5], *spoilt, *labels[7:]])) == 78
    with pytest.raises(ValueError, match="no converged label of the end point of Ta"):
        label_mixing([x for x in labels if x.structure.species != ("Ta",)])
    with pytest.raises(ValueError, match=r"found 0123456789ab \(toy, relax\), other"):
        label_mixing([*labels, labels[7].model_copy(update={"settings_id": "other"})])


def test_binaries_stand_at_their_concentration(labels: list[LabelDoc]) -> None:
    figure = binary_mixing(labels, ELEMENTS)
    [axes] = figure.axes
    pairs = [t.get_text() for t in axes.get_legend().get_texts()]
    assert len(pairs) == 10
    lines = [x for x in axes.get_lines() if x.get_gapcolor() is not None]
    shown = [(x.get_color(), x.get_gapcolor()) for x in lines]
    colours = element_colours(ELEMENTS)
    assert shown == [(colours[a], colours[b]) for a, b in combinations(ELEMENTS, 2)]
    points = drawn(axes, "o")
    assert len(points) == 50  # 10 of two sites, 40 of three
    expected = []
    for row in label_mixing(labels):
        counts = row.structure.counts
        if len(counts) == 2:
            second = max(counts, key=ELEMENTS.index)
            expected.append((counts[second] / sum(counts.values()), row.mixing_mev))
    assert np.array(sorted(points)) == pytest.approx(np.array(sorted(expected)))
    assert "settings 0123456789ab, relaxed" in note(figure)
    assert "2(2,3)+3(3)" in note(figure)
    [empty] = binary_mixing([], ELEMENTS).axes
    assert empty.texts[0].get_text() == "no labelled binaries"


def test_violins_show_numpy_medians_quartiles_and_outliers(labels: list[LabelDoc]) -> None:
    far = labels[10].model_copy(update={"energy": 2 * (-21.0 + 9.0) - 1.0})
    pool = [*labels[:10], far, *labels[11:]]
    [axes] = component_violins(pool).axes
    rows = label_mixing(pool)
    groups = [[x.mixing_mev for x in rows if len(x.structure.counts) == n] for n in (2, 3)]
    medians = [
        line.get_ydata()[0] for line in axes.get_lines() if line.get_markerfacecolor() == "white"
    ]
    assert medians == [np.median(g) for g in groups]
    bars = [list(x.get_ydata()) for x in axes.get_lines() if x.get_linewidth() == 5]
    assert bars == [list(np.percentile(g, [25, 75])) for g in groups]
    assert [v for _, v in drawn(axes, "D")] == [max(groups[0], key=abs)]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["2\n(50)", "3\n(30)"]


def test_cell_is_seen_from_above_and_aside(inputs: ReportInputs) -> None:
    [doc] = inputs.montecarlo
    species = tuple(doc.chains[0].final_species)
    ordering = Ordering(ALLOY.to_alloy(), doc.supercell, species)
    figure = cell_views(ordering, 3.2)
    top, side = figure.axes
    colours = element_colours(ELEMENTS)
    for axes in (top, side):
        faces = [mpl.colors.to_hex(c) for c in axes.collections[0].get_facecolors()]
        assert len(faces) == 300
        for element in ELEMENTS:
            assert faces.count(colours[element].lower()) == 20
    # From above the last circles, drawn over the others, are the upper anions; both lie on
    # the same column of the prismatic host.
    centres = [p.get_extents().get_points().mean(axis=0) for p in top.collections[0].get_paths()]
    rounded = {tuple(np.round(c, 3)) for c in centres}
    assert len(rounded) == 200
    heights = {
        round(float(p.get_extents().get_points().mean(axis=0)[1]), 3)
        for p in side.collections[0].get_paths()
    }
    assert len(heights) == 3
    assert top.get_ylabel() == "y (Å)"
    assert "a = 3.2 Å" in note(figure)
    cell_views(Ordering(ALLOY.to_alloy(), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("V",)))


def texts(figure: Figure) -> list[list[str]]:
    cells = figure.axes[0].tables[0].get_celld()
    rows = 1 + max(r for r, _ in cells)
    columns = 1 + max(c for _, c in cells)
    return [[cells[r, c].get_text().get_text() for c in range(columns)] for r in range(rows)]


def test_enumeration_table_has_the_counts_of_the_paper() -> None:
    document = structures("2(2,3,4,5)+3(3,4)+4(4)+5(5)")
    assert counts_per_combination(document.structures, ELEMENTS)[2, 4] == (8, 8)
    assert texts(enumeration_table(document)) == [
        ["elements", "combinations", "size 2", "size 3", "size 4", "size 5", "in all"],
        ["2", "10", "1", "4", "8", "12", "250"],
        ["3", "10", "–", "3", "18", "–", "210"],
        ["4", "5", "–", "–", "10", "–", "50"],
        ["5", "1", "–", "–", "–", "36", "36"],
    ]
    few = [e for e in document.structures if set(e.counts) != {"Mo", "Ta"} or len(e.species) > 2]
    assert counts_per_combination(few, ELEMENTS)[2, 2] == (0, 1)


def test_table_of_sets_counts_structures_and_sites() -> None:
    sets = {"Model 1": structures("2(2)"), "Model 4": structures("2(2)+3(3)+4(4)+5(5)")}
    assert texts(sets_table(sets)) == [
        ["set", "expression", "2 el.", "3 el.", "4 el.", "5 el.", "structures", "sites"],
        ["Model 1", "2(2)", "10", "–", "–", "–", "10", "20"],
        ["Model 4", "2(2)+3(3)+4(4)+5(5)", "10", "30", "50", "36", "126", "490"],
    ]


def test_sets_are_named_by_what_they_mean() -> None:
    assert set_name("2(2) + 3(3)") == set_name("model-2") == "Model 2"
    assert set_name("2(7)") == "2(7)"
    assert set_name("toy set") == "toy set"


@pytest.fixture(scope="module")
def two_models(inputs: ReportInputs, documents: list[Document]) -> ReportInputs:
    """Return a campaign with a second seed."""
    tuning, bench = inputs.trainings[0], inputs.benchmarks[1]
    second = tuning.model_copy(
        update={"uuid": "f2", "settings": tuning.settings.model_copy(update={"seed": 10})}
    )
    sources = {**bench.sources, "training": ["f2"]}
    again = bench.model_copy(update={"uuid": "b2", "sources": sources})
    return ReportInputs.from_documents([*documents, second, again])


def test_studies_follow_the_links_of_the_documents(inputs: ReportInputs) -> None:
    before, _, after, trained = studies_of(inputs)
    assert (before.label, before.training, before.dataset) == ("CHGNet", None, None)
    assert after.label == trained.label == "Model 4"
    assert (after.test_set, before.test_set, trained.test_set) == (
        "held-out",
        "held-out",
        "training",
    )
    assert after.training is inputs.trainings[0]
    assert after.dataset is inputs.datasets[0]
    assert [len(s.points("fixed")) for s in (before, after, trained)] == [15, 15, 30]
    assert (before.lost("relaxed"), after.lost("relaxed")) == (1, 0)


def test_every_panel_is_drawn_or_says_what_is_missing(two_models: ReportInputs) -> None:
    missing = {}
    for panel in PANELS:
        try:
            draw_panel(panel, two_models)
        except ValueError as error:
            missing[panel] = str(error)
    pair = "no benchmark of a model fine-tuned on alloys of one pair of elements"
    assert missing == dict.fromkeys(("3a", "3b", "3c"), pair)
    for panel in PANELS:
        with pytest.raises(
            ValueError, match=r"^no (structures|labels|benchmark|model|thermodynamics|Monte Carlo)"
        ):
            draw_panel(panel, ReportInputs())
    with pytest.raises(ValueError, match="no panel '7a'; accepted: 1a, 1b"):
        draw_panel("7a", two_models)


@pytest.mark.parametrize("form", FORMATS)
def test_files_are_the_same_bytes_on_another_day(
    form: str, tuned: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw() -> Figure:
        return error_bars([tuned], "relaxed", "mixing")

    first = figure_bytes(draw(), form)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert figure_bytes(draw(), form) == first
    assert first.startswith({"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[form])
    assert b"atplotlib" not in first or form == "svg"
    with pytest.raises(ValueError, match="no figures of format 'jpg'"):
        figure_bytes(draw(), "jpg")


def test_verb_writes_what_was_asked_for(
    connection: Connection,
    documents: list[Document],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connection.uri is not None
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", connection.uri.get_secret_value())
    monkeypatch.setenv("HEA_FLOWS_DATABASE", connection.database_name)
    store = connection.job_store()
    store.connect()
    blobs = {
        "dataset": ["trajectories"],
        "training": ["model_file"],
        "montecarlo": ["series"],
    }
    for d in documents:
        if not isinstance(d, LabelDoc):
            row = {"uuid": d.uuid, "index": 1, "output": d}
            store.update(row, key=["uuid", "index"], save={"data": blobs.get(d.kind, [])})
    folder = tmp_path / "new" / "folder"
    options = ["figures", "--campaign", "toy", "-o", str(folder), "--format"]
    assert main([*options, "svg,png", "--which", "1d,2b,2b"]) == 0
    assert sorted(p.name for p in folder.iterdir()) == [
        f"figure-{panel}.{form}" for panel in ("1d", "2b") for form in ("png", "svg")
    ]
    capsys.readouterr()
    assert main([*options, "svg", "--which", "4c"]) == 1
    told = capsys.readouterr().err
    assert told == "error: panel 4c: no model fine-tuned with several seeds\n"
    assert main([*options, "svg"]) == 0
    told = capsys.readouterr().out
    assert "1b: not drawn, no labels\n" in told
    assert [line[:2] for line in told.splitlines()] == list(PANELS)
    assert main(["figures", "--campaign", "other", "-o", str(tmp_path)]) == 1
    assert "no documents of campaign other" in capsys.readouterr().err
    store.close()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--which", "1a,7"), "no panel '7'; accepted: 1a, 1b"),
        (("--format", "jpg"), "no format 'jpg'; accepted: svg, pdf, png"),
        (("--format", ""), "--format is empty; accepted: svg, pdf, png"),
    ],
)
def test_verb_refuses_in_one_line_before_it_asks_a_test_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], line: str
) -> None:
    assert main(["figures", "--campaign", "toy", "-o", str(tmp_path / "out"), *options]) == 1
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
