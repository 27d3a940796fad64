"""From runs to a dataset of the archive engine, with an account of what became of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from pydantic import BaseModel, ConfigDict, Field

from hea_flows.provenance import settings_id
from hea_flows.reference import Calculation, DatasetCard, DatasetTerms, Outcome, label_document
from hea_flows.results.export import write_archive
from hea_flows.results.importing.placing import Placed, alloy_elements, place
from hea_flows.results.importing.runs import Refused, Run
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry, StructuresDoc

_RESULTS = ("energy", "free_energy", "forces", "stress", "magmoms")


class ImportSettings(BaseModel):
    """What the data do not say of themselves.

    `elements`, `prototype` and `anion` describe the host where there is no `alloy`; elements and
    anion that are None are those of the data.
    """

    model_config = ConfigDict(extra="forbid")

    alloy: AlloySpec | None = None
    elements: list[str] | None = None
    prototype: str = "2H-MX2"
    anion: str | None = None
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Keys of the settings rule; they win over what is read."
    )
    settings_id: str | None = Field(None, description="Which of several settings is taken.")
    calculation: Calculation | None = Field(
        None, description="What runs are whose source does not say it."
    )
    fmax: float = Field(0.05, gt=0, description="Largest force of a relaxation that ended (eV/Å).")


@dataclass
class Imported:
    """A dataset that was written, and what became of every run.

    Parameters
    ----------
    card
        The card.
    labels
        Labels that were kept.
    settings
        Settings id to its rule and its number of runs; the first is the one that was taken.
    trains
        Runs whose frames only train, and why.
    refused
        Runs that are not in the dataset, and why.
    remarks
        What is missing of runs that are, and how relaxations left their phase.
    missing
        Elements without an end point.
    """

    card: DatasetCard
    labels: list[LabelDoc]
    settings: dict[str, tuple[dict[str, Any], int]]
    trains: list[Refused] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    remarks: list[Refused] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def other_settings(self) -> list[str]:
        """One line for each of the settings that were not taken: in what they differ."""
        (_, (taken, _)), *others = self.settings.items()
        return [
            f"{key}: {n} runs; {', '.join(_differences(taken, rule))}" for key, (rule, n) in others
        ]


def import_dataset(
    card_path: Path,
    found: Iterable[Run | Refused],
    given: ImportSettings,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    regenerate: str = "",
    terms: DatasetTerms | None = None,
) -> Imported:
    """Write runs as a dataset: labels of structures, and beside them frames that only train.

    Of several runs of one structure and kind the first of these is the label: one that kept its
    phase, that converged, of the lowest energy. The others train.

    Parameters
    ----------
    card_path
        The JSON card to write; the frames files take its name.
    found
        The data.
    given
        What they do not say.
    title, notes, regenerate, terms
        Texts of the card.

    Raises
    ------
    ValueError
        If nothing is a label of a structure of the host, settings are unknown, or none of several
        has more than half of the runs and none was chosen.
    """
    everything = list(found)
    refused = [one for one in everything if isinstance(one, Refused)]
    runs = [one for one in everything if isinstance(one, Run)]
    if not runs:
        first = f"; first: {refused[0].source}: {refused[0].reason}" if refused else ""
        msg = f"nothing to import: none of {len(everything)} runs is usable{first}"
        raise ValueError(msg)
    spec = given.alloy or _alloy(runs, given)
    host = spec.to_alloy()
    placed = [place(host, r, fmax=given.fmax, calculation=given.calculation) for r in runs]
    settings = _settings(runs, placed, given)
    chosen = _chosen(settings, given.settings_id)
    rules: dict[str, tuple[dict[str, Any], int]] = {}
    numbers = Counter(key for key, _ in settings)
    for key, rule in sorted(settings, key=lambda s: (s[0] != chosen, -numbers[s[0]])):
        rules.setdefault(key, (rule, numbers[key]))
    rule = rules[chosen][0]
    trains: list[tuple[Run, str]] = []
    labels: dict[tuple[str, str], list[tuple[Run, LabelDoc]]] = defaultdict(list)
    seen: dict[bytes, str] = {}
    for run, where, (key, _) in zip(runs, placed, settings, strict=True):
        if key != chosen:
            refused.append(Refused(run.source, f"other settings, {key}"))
        elif (twin := seen.setdefault(_content(run), run.source)) != run.source:
            refused.append(Refused(run.source, f"the same frames as {twin}"))
        elif isinstance(where, str):
            trains.append((run, where))
        else:
            label = _label(run, where, spec, rule)
            if label.trajectory is None:
                trains.append((run, label.reason or "no label"))
            else:
                labels[label.structure.structure_id, label.calculation].append((run, label))
    kept: list[tuple[Run, LabelDoc]] = []
    for several in labels.values():
        several.sort(key=lambda one: _rank(one[1]))
        (best, label), *rest = several
        kept.append((best, label))
        why = f"{best.source} is the label of {label.structure.formula}, {label.calculation}"
        trains += [(run, why) for run, _ in rest]
    if not kept:
        first = f"; first: {trains[0][0].source}: {trains[0][1]}" if trains else ""
        msg = (
            f"no run is a label of a structure of {spec.prototype} with "
            f"{', '.join(spec.elements)}{first}"
        )
        raise ValueError(msg)
    usable = [run for run, _ in trains if run.frames[0].cell.rank == 3]
    refused += [
        Refused(run.source, f"no cell, and {why}") for run, why in trains if run not in usable
    ]
    documents = [label for _, label in kept]
    structures = {d.structure.structure_id: d.structure for d in documents}
    card = write_archive(
        card_path,
        title=title or card_path.stem,
        labels=documents,
        structures=[
            StructuresDoc(
                alloy=spec,
                expression=f"dataset({card_path.name})",
                seed=0,
                n_structures=len(structures),
                structures=list(structures.values()),
            )
        ],
        regenerate=regenerate,
        notes=notes,
        terms=terms,
        extra=[_plain(frame, run.source) for run in usable for frame in run.frames],
    )
    ends = {d.structure.species[0] for d in documents if len(d.structure.species) == 1}
    return Imported(
        card=card,
        labels=documents,
        settings=rules,
        trains=[Refused(run.source, why) for run, why in trains if run in usable],
        refused=refused,
        remarks=[Refused(run.source, text) for run, d in kept for text in _remarks(run, d)],
        missing=[e for e in spec.elements if e not in ends],
    )


def _alloy(runs: Sequence[Run], given: ImportSettings) -> AlloySpec:
    elements, anion = alloy_elements(runs, given.prototype, given.anion)
    return AlloySpec(
        elements=tuple(given.elements or elements), prototype=given.prototype, anion=anion or None
    )


def _settings(
    runs: Sequence[Run], placed: Sequence[Placed | str], given: ImportSettings
) -> list[tuple[str, dict[str, Any]]]:
    """Return settings id and rule of every run.

    Raises
    ------
    ValueError
        If one says nothing of its settings, and none are given.
    """
    rules = [dict(run.rule or {}) for run in runs]
    ours = [i for i, run in enumerate(runs) if run.vasp is not None]
    if ours:
        from hea_flows.reference.vasp import run_rules

        inputs = []
        for i in ours:
            where, vasp = placed[i], runs[i].vasp
            assert vasp is not None
            ordering = where.ordering if isinstance(where, Placed) else None
            inputs.append((vasp, runs[i].frames[0], ordering))
        for i, rule in zip(ours, run_rules(inputs), strict=True):
            rules[i] = rule
    rules = [rule | given.settings for rule in rules]
    if silent := [run.source for run, rule in zip(runs, rules, strict=True) if not rule]:
        msg = (
            f"{silent[0]} and {len(silent) - 1} more runs say nothing of their settings; give what "
            "makes labels comparable, for example --settings code=vasp --settings functional=PBE "
            "--settings cutoff=520 --settings k_points=12x12x1, or a YAML file of it"
        )
        raise ValueError(msg)
    return [(settings_id(rule), rule) for rule in rules]


def _chosen(settings: Sequence[tuple[str, dict[str, Any]]], wanted: str | None) -> str:
    """Return the settings id that is taken: the wanted one, or that of more than half of the runs.

    Raises
    ------
    ValueError
        If there is none such; the message lists what there is.
    """
    numbers = Counter(key for key, _ in settings).most_common()
    rules = dict(settings)
    if wanted in rules:
        return wanted
    key, n = numbers[0]
    if wanted is None and 2 * n > len(settings):
        return key
    listed = "; ".join(
        f"{k} ({n} runs{': ' + ', '.join(_differences(rules[key], rules[k])) if k != key else ''})"
        for k, n in numbers
    )
    what = "no run has that settings id" if wanted else "none has more than half of the runs"
    msg = f"labels of different settings never mix, and {what}: choose by --settings-id: {listed}"
    raise ValueError(msg)


def _differences(taken: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return in what a rule differs from the one that was taken, tag by tag."""
    texts = []
    for key in dict.fromkeys((*taken, *other)):
        one, two = taken.get(key), other.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            if key == "potcars":  # of the elements that both have
                one, two = ({e: d[e] for e in d if e in one and e in two} for d in (one, two))
            texts += [f"{key} {text}" for text in _differences(one, two)]
        elif one != two:
            texts.append(f"{key} {_shown(two)} instead of {_shown(one)}")
    return texts


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)


def _label(run: Run, where: Placed, spec: AlloySpec, rule: Mapping[str, Any]) -> LabelDoc:
    """Return the label document; frames that are not whole make it a failed one."""
    entry = StructureEntry.from_ordering(where.ordering, origin=run.source)
    return label_document(
        lambda: Outcome(
            where.frames, where.converged, reason=where.reason, code_versions=run.versions
        ),
        structure=entry,
        alloy=spec,
        engine=str(rule.get("code", "imported")),
        rule=rule,
        calculation=where.calculation,
    )


def _rank(label: LabelDoc) -> tuple[bool, bool, float]:
    assert label.energy is not None
    return (
        bool(label.flags),
        label.state != "converged",
        label.energy / len(label.structure.species),
    )


def _remarks(run: Run, label: LabelDoc) -> list[str]:
    """Return what a user of a label has to know."""
    texts = list(run.remarks)
    if label.flags:
        texts.append(f"left its phase: {'; '.join(label.flags)}")
    if label.state != "converged":
        texts.append(f"not converged: {label.reason}")
    return texts


def _content(run: Run) -> bytes:
    """Return what two runs share only if they hold the same frames."""
    parts = [
        (f.numbers, f.positions, f.cell.array, np.array(f.calc.results["energy"]))
        for f in run.frames
    ]
    return b"".join(np.ascontiguousarray(x).tobytes() for part in parts for x in part)


def _plain(frame: Atoms, source: str) -> Atoms:
    """Return a frame with its results and where it is from, and nothing else."""
    plain = Atoms(frame.symbols, frame.positions, cell=frame.cell, pbc=frame.pbc)
    results = {k: v for k, v in frame.calc.results.items() if k in _RESULTS}
    plain.calc = SinglePointCalculator(plain, **results)
    plain.info["source"] = source
    return plain
