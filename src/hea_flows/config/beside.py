"""What a campaign file takes from beside it: files, and lattice constants of end points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hea_flows.alloy.lattice import UnknownConstantsError, mean_lattice_constant
from hea_flows.config.sections import LabelSpec
from hea_flows.reference import reference_engine
from hea_flows.schemas import AlloySpec


def with_host(alloy: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the alloy with the path of its host made absolute if it lies in a folder."""
    host = alloy.get("prototype")
    if not isinstance(host, dict) or "file" not in host:
        return alloy
    return {**alloy, "prototype": {**host, "file": located(host["file"], folder)}}


def with_constants(alloy: dict[str, Any], data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the alloy with lattice constants of labelled end points where it has no others.

    Whatever is wrong is left to the checks of the whole file.
    """
    try:
        AlloySpec.model_validate(alloy)
    except ValidationError as error:
        cause = error.errors()[0].get("ctx", {}).get("error")
        if not isinstance(cause, UnknownConstantsError):
            return alloy
    else:
        return alloy
    given = alloy.get("lattice_constants") or {}
    unknown = cause.elements
    try:
        labels = LabelSpec.model_validate(data.get("labels") or {})
        options = {key: located(value, folder) for key, value in labels.options.items()}
        engine = reference_engine(labels.engine).with_options(options)
        scale = AlloySpec.model_validate(
            {**alloy, "lattice_constants": {**given, **dict.fromkeys(unknown, 1.0)}}
        ).to_alloy()
        cells = engine.end_point_cells(scale)
    except (ValueError, OSError):
        return alloy
    constants = {e: mean_lattice_constant(scale, {e: cells[e]}) for e in unknown if e in cells}
    return {**alloy, "lattice_constants": {**given, **constants}}


def located(value: Any, folder: Path) -> Any:  # noqa: ANN401  files, and whatever is none
    """Return a path, or each of a list, as absolute if it is a file's in a folder."""
    if isinstance(value, list):
        return [located(one, folder) for one in value]
    if isinstance(value, str) and (folder / value).is_file():
        return str((folder / value).resolve())
    return value
