"""The tables of thermodynamics: stable phases, decomposition temperature, SQS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import isfinite

from hea_flows.alloy import asked_and_held
from hea_flows.results.figures import phase_name
from hea_flows.results.report.table import Table, interval, number
from hea_flows.schemas import ThermodynamicsDoc


def thermodynamics_tables(doc: ThermodynamicsDoc, tail: str = "") -> list[Table]:
    """Return the stable decompositions, and on demand all of them and the SQS energies."""
    pool = {frozenset(map(frozenset, d.phases)): d for d in doc.decompositions}
    stable, ends = [], [*(t for t, _ in doc.transitions[1:]), float("inf")]
    for (start, name), end in zip(doc.transitions, ends, strict=True):
        phases = _phases(name)
        phase_set = pool.get(frozenset(frozenset(p) for p in phases))
        stable.append(
            [
                _mixture(phases, tail),
                number(start, 0),
                number(end, 0) if isfinite(end) else "no limit",
                number(1e3 * phase_set.enthalpy if phase_set else None),
                number(1e6 * phase_set.entropy if phase_set else None, 1),
                " + ".join(number(x, 2) for x in phase_set.shares) if phase_set else "",
            ]
        )
    mode = f"Energies: {doc.mode}, {doc.model.title}; reference: end members, {doc.mode}."
    every = [
        [
            _mixture(d.phases, tail),
            number(1e3 * d.enthalpy),
            number(1e6 * d.entropy, 1),
        ]
        for d in sorted(doc.decompositions, key=lambda d: d.enthalpy)
    ]
    return [
        Table(
            "Stable phases with rising temperature; composition of random cells: "
            f"{asked_and_held(doc.composition, doc.random_counts)}. {mode}",
            [
                "phases",
                "from (K)",
                "to (K)",
                "H (meV/unit)",
                "S (μeV/K per unit)",
                "shares of sites",
            ],
            stable,
        ),
        _decomposition_table(doc, tail),
        Table(
            f"All {len(every)} decompositions that compete, by enthalpy. {mode}",
            ["phases", "H (meV/unit)", "S (μeV/K per unit)"],
            every,
            folded=True,
        ),
        _sqs_table(doc, mode, tail),
    ]


def _decomposition_table(doc: ThermodynamicsDoc, tail: str) -> Table:
    """Return the decomposition temperature of the model, its interval, and the reference's."""
    rows = [[f"{doc.model.title}, {doc.mode}", f"{number(doc.decomposition_temperature, 0)} K"]]
    if u := doc.uncertainty:
        rows += [
            [f"its {100 * u.level:.0f} % interval", f"{interval((u.low, u.high), 0)} K"],
            ["median", f"{number(u.median, 0)} K"],
            ["error of mixing energies", f"{number(u.sigma_mev)} meV/unit ({u.sigma_from})"],
            ["decomposes at no temperature", f"{number(100 * u.share_none, 1)} % of draws"],
        ]
        rows += [
            [f"first on cooling: {_mixture(_phases(x), tail)}", f"{number(100 * p, 1)} % of draws"]
            for p, x in u.below[:5]
        ]
    if r := doc.reference:
        value = f"{number(r.decomposition_temperature, 0)} K"
        if r.missing:
            value = f"not known: no relaxed label of {len(r.missing)} of its phases"
        rows.append([f"{r.engine} (settings {r.settings_id}), relaxed", value])
    if v := doc.vibrations:
        value = f"{number(v.decomposition_temperature, 0)} K"
        if v.unusable:
            value = "not known: " + "; ".join(
                f"{phase_name(p, tail)}: {why}" for p, why in v.unusable.items()
            )
        rows.append([f"{doc.model.title}, {doc.mode}, with harmonic vibrations", value])
    return Table(
        "Temperature above which the solid solution is stable. "
        + (
            "The interval holds independent Gaussian errors of every phase's enthalpy, and nothing "
            "else: not errors that phases share, not the reference method's, not what ideal mixing "
            "leaves out."
            if doc.uncertainty
            else "No interval: the error of the model is not known."
        ),
        ["", "decomposition temperature"],
        rows,
    )


def _sqs_table(doc: ThermodynamicsDoc, mode: str, tail: str) -> Table:
    caption, engine = f"Special quasirandom structures. {mode}", ""
    labelled: dict[str, float] = {}
    if r := doc.reference:
        engine, labelled = r.engine, r.sqs_mixing_mev
        why = "; ".join(f"{phase_name(p, tail)}: {text}" for p, text in r.missing.items())
        caption += (
            f" {engine}: relaxed, the same cells, relative to its own relaxed end members, "
            f"settings {r.settings_id}."
        ) + (f" Without: {why}." if why else "")
    rows = []
    for phase, h in doc.sqs_mixing_mev.items():
        sites = " ".join(f"{e}{n}" for e, n in doc.sqs_counts[phase].items())
        row = {"phase": phase_name(phase, tail), "mixing energy (meV/unit)": number(h)}
        if engine:
            label = labelled.get(phase)
            row[f"{engine} (meV/unit)"] = number(label)
            row["model minus it (meV/unit)"] = number(None if label is None else h - label)
        objective = number(doc.sqs_objective.get(phase), 4)
        rows.append(row | {"objective": objective, "sites": sites})
    return replace(Table.from_rows(caption, rows, {"phase", "sites"}), folded=True)


def _phases(name: str) -> list[list[str]]:
    """Return the elements of each phase of a name such as ``(Mo,W) + V``."""
    return [p.strip().strip("()").split(",") for p in name.split(" + ")]


def _mixture(phases: Iterable[Iterable[str]], tail: str) -> str:
    return " + ".join(phase_name("-".join(p), tail) for p in phases)
