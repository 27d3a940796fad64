"""A trained model as a file: this package's own checkpoint, or what the family's program reads."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeVar

from hea_flows.potentials import family
from hea_flows.runtime import atomic_write
from hea_flows.schemas import (
    CommitteeModelDoc,
    Epoch,
    ModelDoc,
    ModelSpec,
    Promised,
    TrainingDoc,
)

M = TypeVar("M", bound=ModelDoc)

Form = Literal["checkpoint", "native"]
#: The zero of energy of the labels, or the model's own, which labels without offsets have.
Zero = Literal["label", "model"]


def choose_model(models: Sequence[M], name: str | None = None, seed: int | None = None) -> M:
    """Return the newest of a campaign's models, of a name and a seed if they are given.

    Parameters
    ----------
    models
        The campaign's, oldest first.
    name
        The campaign's name of the model.
    seed
        Of its training.

    Raises
    ------
    ValueError
        If there is none, or several names or seeds fit a name or a seed; the line says which
        models there are.
    """
    fitting = [d for d in models if name in {None, d.name} and seed in {None, d.seed}]
    kinds = {(d.name, d.seed) for d in fitting}
    if fitting and (len(kinds) == 1 or (name is None and seed is None)):
        return fitting[-1]
    asked = " and ".join(
        text
        for text in (
            "" if name is None else f"the name {name!r}",
            "" if seed is None else f"the seed {seed}",
        )
        if text
    )
    seeds: dict[str, set[int]] = {}
    for d in models:
        seeds.setdefault(d.name, set()).update(() if d.seed is None else (d.seed,))
    accepted = "; ".join(
        f"{own!r}, seed {', '.join(map(str, sorted(of_it)))}" if of_it else repr(own)
        for own, of_it in seeds.items()
    )
    many = f"{len(kinds)} models have" if fitting else "no model has"
    msg = f"{many} {asked}; accepted: {accepted or 'none, no model is trained yet'}"
    raise ValueError(msg)


def export_model(
    document: ModelDoc, path: Path, *, form: Form = "checkpoint", zero: Zero = "label"
) -> list[str]:
    """Write a model that a campaign made; return what its user should know, a line each.

    Parameters
    ----------
    document
        The training, or the committee, loaded.
    path
        File to write.
    form
        ``"checkpoint"``: the stored file, which `hea_flows.load_calculator` and campaigns read,
        with the offsets noted in it; where it is no checkpoint of this package, or there is no
        torch, it stays as it is. ``"native"``: what the family's own program reads
        (`hea_flows.potentials.Family.native`); the offsets are part of its energies.
    zero
        ``"model"`` leaves the offsets out; a checkpoint is then the stored file as it is.

    Raises
    ------
    ValueError
        If the stored file is damaged, or the family has no native files or another ending.
    """
    offsets = {k: v for k, v in document.offsets.items() if v}
    added = offsets if zero == "label" else {}
    write = _native if form == "native" else _checkpoint
    with TemporaryDirectory() as folder:
        stored = document.model_file.write_to(Path(folder))
        promised = Promised(document.model_file.sha256)  # our own document stands for its file
        spec = document.model.model_copy(update={"path": str(stored), "sha256": promised})
        raw, opening, how = write(spec, added, path)
    atomic_write(path, raw)
    sha256 = hashlib.sha256(raw).hexdigest()
    energies = ", ".join(f"{element} {energy:+.6g}" for element, energy in offsets.items())
    if not offsets:
        zero_line = "that of the labels and of the model, which are one"
    elif added:
        zero_line = f"that of the labels, by offsets (eV/atom) {how}: {energies}"
    else:
        zero_line = f"the model's own; offsets (eV/atom) to that of the labels: {energies}"
    lines = [
        f"model: {document.name}" + ("" if document.seed is None else f", seed {document.seed}"),
        f"family: {spec.family}",
        f"file: {path}",
        f"sha256: {sha256}",
    ]
    if form == "checkpoint" and sha256 != promised:
        lines.append(f"sha256 of the stored file, which is without the offsets: {promised}")
    return [
        *lines,
        f"zero of energy: {zero_line}",
        _origin(document),
        *opening.splitlines(),
    ]


def _origin(document: ModelDoc) -> str:
    if isinstance(document, CommitteeModelDoc):
        return f"members: {', '.join(document.members)}; licence: {_known(document.model)}"
    parent = document.parent if isinstance(document, TrainingDoc) else None
    if parent is None:
        return "parent: none, trained from scratch"
    return f"parent: {parent.title}, licence: {_known(parent)}"


def _known(model: ModelSpec) -> str:
    return model.licence or "not known"


def curve_csv(curve: Sequence[Epoch]) -> str:
    """Return a training curve as CSV: a line per epoch, every field of `Epoch`, all digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Epoch.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(epoch.model_dump() for epoch in curve)
    return text.getvalue()


def _native(spec: ModelSpec, offsets: Mapping[str, float], path: Path) -> tuple[bytes, str, str]:
    """Return the content, the lines that open it, and where the offsets are."""
    file = family(spec.family).native(spec, offsets)
    if not path.name.endswith(file.suffix):
        msg = f"{path}: the name of a native {spec.family} file ends with {file.suffix}"
        raise ValueError(msg)
    return file.content, file.opening.format(path=_quoted(path)), "in its energies"


def _checkpoint(
    spec: ModelSpec, offsets: Mapping[str, float], path: Path
) -> tuple[bytes, str, str]:
    """Return the content, the lines that open it, and where the offsets are."""
    raw, given, how = Path(str(spec.path)).read_bytes(), "", "noted in the file"
    try:
        from hea_flows.potentials import model_files

        checkpoint = model_files.load(str(spec.path), spec.family)
    except (ModuleNotFoundError, ValueError):  # without torch, or a file of the family's own
        given, how = f', family="{spec.family}"', "given to load_calculator"
        given += f", offsets={json.dumps(offsets)}" if offsets else ""
    else:
        if offsets:
            noted = replace(checkpoint, meta={**checkpoint.meta, "offsets": dict(offsets)})
            raw = model_files.plain_bytes(model_files.as_content(noted))
    arguments = f'{_quoted(path)}, sha256="{hashlib.sha256(raw).hexdigest()}"{given}'
    opening = f"from hea_flows import load_calculator\ncalc = load_calculator({arguments})"
    return raw, opening, how


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
