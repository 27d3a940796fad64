"""The tables of thermodynamics: stable phases, decomposition temperature, SQS."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from hea_flows.results.report.style import phase_name
from hea_flows.results.report.tables import Table, number
from hea_flows.schemas import ThermodynamicsDoc


def thermodynamics_tables(doc: ThermodynamicsDoc, tail: str = "") -> list[Table]:
    """Return the stable decompositions, and on demand all of them and the SQS energies."""
    pool = {frozenset(map(frozenset, d.phases)): d for d in doc.decompositions}
    stable, ends = [], [*(t for t, _ in doc.transitions[1:]), float("inf")]
    for (start, name), end in zip(doc.transitions, ends, strict=True):
        phases = _phases(name)
        found = pool.get(frozenset(frozenset(p) for p in phases))
        stable.append(
            [
                _mixture(phases, tail),
                number(start, 0),
                number(end, 0) if isfinite(end) else "no limit",
                number(1e3 * found.enthalpy if found else None),
                number(1e6 * found.entropy if found else None, 1),
            ]
        )
    mode = f"Energies: {doc.mode}, {doc.model.label}; reference: end members, {doc.mode}."
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
            f"Stable phases with rising temperature. {mode}",
            ["phases", "from (K)", "to (K)", "H (meV/unit)", "S (μeV/K per unit)"],
            stable,
        ),
        _decomposition_table(doc, tail),
        Table(
            f"All {len(every)} decompositions, by enthalpy. {mode}",
            ["phases", "H (meV/unit)", "S (μeV/K per unit)"],
            every,
            folded=True,
        ),
        _sqs_table(doc, mode, tail),
    ]


def _decomposition_table(doc: ThermodynamicsDoc, tail: str) -> Table:
    """Return the decomposition temperature of the model, its interval, and the reference's."""
    rows = [[f"{doc.model.label}, {doc.mode}", f"{number(doc.decomposition_temperature, 0)} K"]]
    if u := doc.uncertainty:
        rows += [
            [f"its {100 * u.level:.0f} % interval", f"{number(u.low, 0)} to {number(u.high, 0)} K"],
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
        rows.append([f"{doc.model.label}, {doc.mode}, with harmonic vibrations", value])
    return Table(
        "Temperature above which the solid solution is stable. "
        + (
            "The interval holds independent Gaussian errors of every phase's enthalpy, and nothing "
            "else: not errors that phases share, not the reference method's, not what ideal mixing "
            "leaves out."
            if doc.uncertainty
            else "No interval: nothing tells the error of the model."
        ),
        ["", "decomposition temperature"],
        rows,
    )


def _sqs_table(doc: ThermodynamicsDoc, mode: str, tail: str) -> Table:
    reference = doc.reference
    if reference is None:
        columns, known = [], {}
        words = f"Special quasirandom structures. {mode}"
    else:
        columns = [f"{reference.engine} (meV/unit)", "model minus it (meV/unit)"]
        known = reference.sqs_mixing_mev
        why = "; ".join(f"{phase_name(p, tail)}: {text}" for p, text in reference.missing.items())
        words = (
            f"Special quasirandom structures. {mode} {reference.engine}: relaxed, the same cells, "
            f"relative to its own relaxed end members, settings {reference.settings_id}."
        ) + (f" Without: {why}." if why else "")
    rows = [
        [
            phase_name(p, tail),
            number(h),
            *(
                [number(known.get(p)), number(h - known[p] if p in known else None)]
                if columns
                else []
            ),
            number(doc.sqs_objective.get(p), 4),
        ]
        for p, h in doc.sqs_mixing_mev.items()
    ]
    headings = ["phase", "mixing energy (meV/unit)", *columns, "objective"]
    return Table(words, headings, rows, folded=True)


def _phases(name: str) -> list[list[str]]:
    """Return the elements of each phase of a name such as ``(Mo,W) + V``."""
    return [p.strip().strip("()").split(",") for p in name.split(" + ")]


def _mixture(phases: Iterable[Iterable[str]], tail: str) -> str:
    return " + ".join(phase_name("-".join(p), tail) for p in phases)
