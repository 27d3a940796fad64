"""`hea-flows import`: one's own data as a dataset."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hea_flows.cli.output import output_file

if TYPE_CHECKING:
    from hea_flows.results.importing import Imported, Refused
    from hea_flows.schemas import AlloySpec

importing = typer.Typer(help="Read data of other programs.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(importing, name="import")


@importing.command("dataset")
def import_frames(
    output: Annotated[
        Path, typer.Argument(callback=output_file, help="Card to write (.json); frames beside it.")
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders with output of VASP; vasprun.xml, OUTCAR, extxyz, ASE's .db, datasets."
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Job store of atomate2: its file, or jobflow.yaml.")
    ] = None,
    query: Annotated[str, typer.Option(help="Which of its documents, as MongoDB's filter.")] = "{}",
    alloy: Annotated[
        Path | None, typer.Option(help="Campaign file with the alloy; else the next three say it.")
    ] = None,
    elements: Annotated[
        str | None, typer.Option(help="Alloyed elements; default those of the data.")
    ] = None,
    prototype: Annotated[str, typer.Option(help="Host; `sets prototypes` lists them.")] = "2H-MX2",
    anion: Annotated[
        str | None, typer.Option(help="Fixed sublattice; '' for none; default that of the data.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE of the settings, or a YAML file; repeatable."),
    ] = None,
    settings_id: Annotated[
        str | None, typer.Option(help="Which, where the data have several settings.")
    ] = None,
    calculation: Annotated[
        Literal["relax", "static"] | None,
        typer.Option(help="What frames are whose file does not say it."),
    ] = None,
    fmax: Annotated[
        float, typer.Option(min=1e-6, help="Largest force of a relaxation that ended (eV/Å).")
    ] = 0.05,
    title: Annotated[str, typer.Option(help="Title of the card.")] = "",
    note: Annotated[list[str] | None, typer.Option(help="Note of the card; repeatable.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence that you give your data, e.g. CC-BY-4.0.")
    ] = None,
    citation: Annotated[str | None, typer.Option(help="What users of the data cite.")] = None,
    author: Annotated[list[str] | None, typer.Option(help="Author; repeatable.")] = None,
) -> None:
    """Make a dataset of your own data, and say what became of every file.

    Frames are placed on the host lattice, and each run becomes the label of its structure. What is
    on no site of the host, or a second run of a structure, only trains. Campaigns read the dataset
    with `labels: {engine: archive, options: {dataset: NAME.json}}`, all its structures with the set
    `dataset(NAME.json)`, and the other frames with `dataset: {extra_frames: NAME.json}`.
    """
    from hea_flows.reference import DatasetTerms
    from hea_flows.results.importing import (
        ImportSettings,
        import_dataset,
        read_sources,
        read_store,
    )

    if output.suffix != ".json":
        msg = f"{output.name}: the card of a dataset ends in .json"
        raise ValueError(msg)
    if not sources and store is None:
        msg = "nothing to read: give files or folders, or --store"
        raise ValueError(msg)
    given = ImportSettings(
        alloy=None if alloy is None else _alloy_of(alloy),
        elements=None if elements is None else [e.strip() for e in elements.split(",")],
        prototype=prototype,
        anion=anion,
        settings=_settings(settings or []),
        settings_id=settings_id,
        calculation=calculation,
        fmax=fmax,
    )
    found = list(read_sources(sources or []))
    if store is not None:
        found += read_store(store, _query(query))
    imported = import_dataset(
        output,
        found,
        given,
        title=title,
        notes=note or [],
        regenerate=shlex.join(["hea-flows", *sys.argv[1:]]),
        terms=DatasetTerms(licence=licence, citation=citation, authors=author or []),
    )
    for line in _account(imported, output, len(found)):
        typer.echo(line)


def _alloy_of(path: Path) -> AlloySpec:
    """Return the alloy of a campaign file, whatever else is in it."""
    from hea_flows.inputs import read_yaml, shown
    from hea_flows.schemas import AlloySpec

    data, _ = read_yaml(path)
    if not isinstance(data, dict) or "alloy" not in data:
        msg = f"{path} has no key alloy; found {shown(data)}"
        raise ValueError(msg)
    return AlloySpec.model_validate(data["alloy"])


def _settings(texts: list[str]) -> dict[str, Any]:
    """Return the settings that options give."""
    from hea_flows.inputs import load_yaml, read_yaml, shown

    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if equals:
            settings[key.strip()] = load_yaml(value, f"--settings {key}")
            continue
        data, _ = read_yaml(Path(text))
        if not isinstance(data, dict):
            msg = f"{text} must hold keys such as code, functional; found {shown(data)}"
            raise ValueError(msg)  # noqa: TRY004  a wrong value of the file, not of an argument
        settings |= {str(k): v for k, v in data.items()}
    return settings


def _query(text: str) -> dict[str, Any]:
    from hea_flows.inputs import load_yaml, shown

    query = load_yaml(text, "--query")
    if not isinstance(query, dict):
        msg = f"--query is a filter such as '{{name: relax 1}}', got {shown(text)}"
        raise ValueError(msg)  # noqa: TRY004  a wrong value of an option
    return query


def _account(imported: Imported, output: Path, n: int) -> list[str]:
    """Return what is said of an import."""
    card, labels = imported.card, imported.labels
    states = Counter(f"{label.state} {label.calculation}" for label in labels)
    sizes = Counter((len(d.structure.counts), len(d.structure.species)) for d in labels)
    (chosen, (rule, runs)), *_ = imported.settings.items()
    host = f"alloy: {', '.join(card.alloy.elements)} on {card.alloy.prototype}"
    numbers = f"{len(imported.trains)} only train, {len(imported.refused)} refused"
    lines = [
        f"{n} runs read: {len(labels)} labels, {numbers}",
        host + (f", anion {card.alloy.anion}" if card.alloy.anion else ""),
        f"settings {chosen}, {runs} runs: {', '.join(f'{k} {_short(v)}' for k, v in rule.items())}",
        *(f"  not taken: {text}" for text in imported.other_settings),
        f"labels: {', '.join(f'{m} {state}' for state, m in states.most_common())}",
        *(f"  {c} components, {s} units per cell: {m}" for (c, s), m in sorted(sizes.items())),
    ]
    for heading, entries in (
        ("to know", imported.remarks),
        ("only train", imported.trains),
        ("refused", imported.refused),
    ):
        lines += [f"{heading}:", *_listed(entries)] if entries else []
    if imported.missing:
        lines.append(
            f"no end point of {', '.join(imported.missing)}: no mixing energies, and no campaign "
            "with them, before its primitive cell is labelled (set 1(1))"
        )
    else:
        lines.append(f"end points: all {len(card.alloy.elements)}")
    extra = "" if card.extra is None else f"; {card.extra.n_frames} extra: {card.extra.file}"
    lines.append(
        f"{card.n_structures} labels, {card.n_frames} frames: {card.file}, {output}{extra}"
    )
    return lines


def _listed(entries: list[Refused]) -> list[str]:
    return [f"  {one.source}: {one.reason}" for one in entries]


def _short(value: object) -> str:
    from hea_flows.inputs import cut

    return cut(str(value), 60)
