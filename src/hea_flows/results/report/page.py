"""The report of a campaign: one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from hea_flows.results.figures import (
    anion_tail,
    data_uri,
    gibbs_energy,
    learning_curve,
    mixing_by_composition,
    order_parameters,
    parity,
    phase_diagrams,
    random_energies,
    separation_words,
    shell_name,
)
from hea_flows.results.report.growth import growth_curve, growth_table, growth_verdict
from hea_flows.results.report.learning_tables import (
    benchmark_table,
    committee_table,
    forgetting_table,
    problem_table,
    provenance_tables,
    stability_table,
    training_table,
)
from hea_flows.results.report.montecarlo_tables import montecarlo_tables
from hea_flows.results.report.phase_tables import phase_tables
from hea_flows.results.report.study import is_study, study_figures
from hea_flows.results.report.summary import headline_geometry, summary
from hea_flows.results.report.table import Table, interval, number
from hea_flows.results.report.thermodynamics_tables import thermodynamics_tables
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import (
    Geometry,
    GrowthDoc,
    MonteCarloDoc,
    PhaseDiagramDoc,
    ThermodynamicsDoc,
)


@dataclass(frozen=True)
class Card:
    """A headline number."""

    title: str
    value: str
    unit: str
    note: str


@dataclass(frozen=True)
class Picture:
    """A figure with its caption and its description for screen readers."""

    uri: str
    alt: str
    caption: str


@dataclass
class Section:
    """A section of the page."""

    id: str
    title: str
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    text: str = ""


def reference_name(documents: CampaignDocuments) -> str:
    """Return the functional of the labels, such as ``PBE``; ``reference`` where unknown."""
    rules = [d.settings for d in documents.datasets] + [d.settings for d in documents.labels]
    names = {str(r[k]) for r in rules for k in ("xc", "functional") if r.get(k)}
    return names.pop() if len(names) == 1 else "reference"


def cards(documents: CampaignDocuments) -> list[Card]:
    """Return the headline numbers for the top of the page."""
    s = summary(documents)
    before, after = s["mixing_mae_before_mev"], s["mixing_mae_after_mev"]
    factor = s["mixing_factor"]
    note = f"no held-out {reference_name(documents)} labels"
    if s["mixing_geometry"]:
        counts = sorted({n for n in (s["mixing_n_before"], s["mixing_n_after"]) if n})
        note = (
            f"foundation → fine-tuned, on {' and '.join(map(str, counts))} held-out "
            f"{reference_name(documents)} labels, {s['mixing_geometry']}"
        )
    if factor is not None:
        change = "smaller" if factor >= 1 else "larger"
        note += f"; {number(max(factor, 1 / factor), 1)} times {change}"
    temperature, mode = s["decomposition_temperature_k"], s["thermodynamics_mode"]
    stable = "no thermodynamics in this campaign"
    if mode:
        stable = f"{mode} energies; the solid solution of all elements is stable above it"
        if temperature is None:
            stable = f"{mode} energies; the solid solution is stable at no temperature"
        if s["decomposition_interval_k"]:
            stable += (
                f"; 95 % interval {interval(s['decomposition_interval_k'], 0)} K from a "
                f"mixing-energy error of {number(s['decomposition_sigma_mev'])} meV/unit"
            )
    per_unit = "not defined"
    if s["deed_per_unit"] is not None:
        per_unit = f"{number(s['deed_per_unit'], 1)} (eV/unit)⁻¹"
    random = stable
    if mode:
        random = (
            f"{per_unit}; random structures {number(s['random_mean_mev'], 1)} ± "
            f"{number(s['random_sigma_mev'], 1)} meV/unit, {mode}"
        )
    return [
        Card("Mixing-energy error", f"{number(before, 1)} → {number(after, 1)}", "meV/unit", note),
        Card("Decomposition temperature", number(temperature, 0), "K", stable),
        Card("DEED", number(s["deed_per_atom"], 0), "(eV/atom)⁻¹", random),
        Card(
            "Labels",
            number(s["labels"], 0),
            "structures",
            f"{number(s['frames'], 0)} labelled frames; {s['not_converged']} structures not "
            "converged, failed or missing",
        ),
    ]


def _accuracy(documents: CampaignDocuments, geometry: Geometry) -> Iterator[Picture]:
    tuned, foundation = documents.benchmark("fine-tuned"), documents.benchmark("foundation")
    s = summary(documents)
    errors = (
        f"mixing-energy MAE on held-out labels {number(s['mixing_mae_before_mev'])} meV/unit "
        f"before and {number(s['mixing_mae_after_mev'])} meV/unit after fine-tuning"
    )
    yield Picture(
        data_uri(parity(foundation, tuned, geometry)),
        f"Four parity plots, total and mixing energy of both models; {errors}.",
        "Parity of total energy (top) and mixing energy (bottom), foundation model (left) and "
        f"fine-tuned model (right), {geometry}. Held-out structures are in no split of the "
        "dataset; end points are not shown.",
    )
    elements = documents.alloy.elements if documents.alloy else ()
    yield Picture(
        data_uri(mixing_by_composition(tuned, foundation, elements, geometry)),
        "Mixing energy of binaries against composition, and of all alloyed structures by number "
        f"of elements, {geometry}.",
        "Mixing energy against composition of the binaries (a) and by number of alloyed elements "
        "(b; white dot: median, bar: quartiles, line: 1.5 times their range, diamonds: beyond), "
        f"{geometry}.",
    )


def _order_picture(doc: MonteCarloDoc, shell: int) -> Picture:
    coldest, key = doc.averages[0], str(shell)
    values = coldest.order_parameters[key]
    strongest = max(values, key=lambda p: abs(values[p]))
    return Picture(
        data_uri(order_parameters(doc, shell)),
        f"Order parameter of every pair against temperature; strongest at {coldest.temperature:g} "
        f"K: {strongest} {number(values[strongest], 3)}. Snapshots from above.",
        f"Order parameters of {shell_name(shell)} ({doc.mode} energies), ± standard error over "
        f"{doc.settings.runs} run(s) per temperature, and the last decoration of a chain at "
        "chosen temperatures. Each marker is half one element's colour, half the other's. "
        f"{separation_words(doc)}",
    )


def _growth(document: GrowthDoc) -> Section:
    verdict = growth_verdict(document)
    curve = Picture(
        data_uri(growth_curve(document)),
        f"Error against the number of structures trained on, step by step. {verdict}",
        "Error of every step with its 95 % interval (dashes: single seeds); the ring marks the "
        "recommended step.",
    )
    title = "How large the training set has to be"
    return Section("growth", title, [curve], [growth_table(document)], verdict)


def _training(documents: CampaignDocuments) -> Section:
    curve = Picture(
        data_uri(learning_curve(documents.trainings)),
        "Validation errors of energy and forces against the epoch, logarithmic.",
        "Learning curves: root mean square errors of the validation frames; the ring marks the "
        "epoch that was kept.",
    )
    return Section("training", "Training", [curve], [training_table(documents)])


def _thermodynamics(doc: ThermodynamicsDoc, documents: CampaignDocuments) -> Section:
    stable = ", ".join(f"{name} from {t:.0f} K" for t, name in doc.transitions)
    band = ", the band the 95 % interval of the last one" if doc.uncertainty else ""
    pictures = [
        Picture(
            data_uri(gibbs_energy(doc, documents.alloy)),
            f"Gibbs energy against temperature; stable with rising temperature: {stable}.",
            f"Gibbs energy of the solid solution and its stable decompositions ({doc.mode} "
            f"energies, relative to the end members); dotted lines mark transitions{band}.",
        ),
        Picture(
            data_uri(random_energies(doc)),
            f"{len(doc.random_mixing_mev)} random mixing energies, histogram: mean "
            f"{number(doc.h_ave_mev, 1)}, σ {number(doc.sigma_mev)} meV/unit.",
            f"Mixing energies of random structures ({doc.mode} energies, relative to the end "
            "members), with mean, one σ (shaded) and the SQS.",
        ),
    ]
    tables = thermodynamics_tables(doc, anion_tail(documents.alloy))
    return Section("thermodynamics", "Thermodynamics", pictures, tables)


def _phases(docs: Sequence[PhaseDiagramDoc]) -> Section:
    words = "; ".join(
        f"{'-'.join(d.pair)}: one phase above {number(d.critical.temperature, 0)} K"
        for d in docs
        if d.critical
    )
    picture = Picture(
        data_uri(phase_diagrams(docs)),
        f"Temperature against composition of {len(docs)} binaries. {words}",
        "Binaries: two phases coexist where it is shaded, with their compositions (dots; ticks: "
        "where the free energy of the cell becomes concave) and the temperature above which there "
        f"is one ({docs[-1].mode} energies).",
    )
    return Section("phases", "Phase diagrams", [picture], phase_tables(docs))


def sections(documents: CampaignDocuments) -> list[Section]:
    """Return the page's sections; those without a document are left out."""
    parts = []
    if documents.benchmarks:
        beyond = (forgetting_table(documents), stability_table(documents))
        tables = [benchmark_table(documents), *(table for table in beyond if table.rows)]
        section = Section("accuracy", "Accuracy of the models", tables=tables)
        if documents.missing:
            names = "; ".join(documents.missing)
            section.text = f"Without a result: {names}. The reasons are under Missing and failed."
        relaxed = any(bench.relaxed for bench in documents.benchmarks)
        default: Geometry = "relaxed" if relaxed else "fixed"
        section.pictures = list(_accuracy(documents, headline_geometry(documents) or default))
        parts.append(section)
    if is_study(documents):
        pictures = [
            Picture(data_uri(figure), f"{name}: {caption}", caption)
            for name, caption, figure in study_figures(documents)
        ]
        tables = [committee_table(documents)] if documents.committees else []
        parts.append(Section("study", "Comparison of models", pictures, tables))
    if documents.growth:
        parts.append(_growth(documents.growth[-1]))
    if documents.trainings:
        parts.append(_training(documents))
    if documents.montecarlo:
        pictures = [
            _order_picture(doc, shell)
            for doc in documents.montecarlo
            for shell in doc.settings.shells
        ]
        tables = montecarlo_tables(documents.montecarlo)
        parts.append(Section("order", "Order and separation", pictures, tables))
    if thermo := documents.headline_thermodynamics:
        parts.append(_thermodynamics(thermo, documents))
    if documents.phase_diagrams:
        parts.append(_phases(documents.phase_diagrams))
    trouble = Section("problems", "Missing and failed", tables=[problem_table(documents)])
    if not trouble.tables[0].rows:
        trouble.tables, trouble.text = [], "Nothing is missing, failed or left out."
    parts.append(trouble)
    parts.append(Section("provenance", "Provenance", tables=provenance_tables(documents)))
    return parts


def build_page(documents: CampaignDocuments) -> str:
    """Return the report as HTML: figures inside, no script, nothing loaded from elsewhere."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("hea_flows.results.report").joinpath("page.html").read_text(encoding="utf-8")
    alloy, campaign = documents.alloy, documents.campaign
    made = max((d.created_at for d in documents.all), default=None)
    about = ""
    if alloy:
        about = f"({', '.join(alloy.elements)}){anion_tail(alloy)}, {alloy.to_alloy().host.name}"
    return environment.from_string(template).render(
        title=campaign.name if campaign else "hea-flows report",
        about=about,
        made=f"{made:%Y-%m-%d %H:%M} UTC" if made else "",
        cards=cards(documents),
        sections=sections(documents),
        campaign=campaign,
    )
