"""What a campaign file takes from beside it: files, and lattice constants of end points."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hea_flows.alloy.lattice import UnknownConstantsError, mean_lattice_constant
from hea_flows.alloy.sets import located_set
from hea_flows.config.sections import LabelSpec
from hea_flows.reference import reference_engine
from hea_flows.schemas import AlloySpec, Replay

if TYPE_CHECKING:
    from hea_flows.config.campaign import Campaign


def with_host(alloy: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the alloy with the path of its host made absolute if it lies in a folder."""
    host = alloy.get("prototype")
    if not isinstance(host, dict) or "file" not in host:
        return alloy
    return {**alloy, "prototype": {**host, "file": _located(host["file"], folder)}}


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
        options = {key: _located(value, folder) for key, value in labels.options.items()}
        engine = reference_engine(labels.engine).with_options(options)
        scale = AlloySpec.model_validate(
            {**alloy, "lattice_constants": {**given, **dict.fromkeys(unknown, 1.0)}}
        ).to_alloy()
        cells = engine.end_point_cells(scale)
    except (ValueError, OSError):
        return alloy
    constants = {e: mean_lattice_constant(scale, {e: cells[e]}) for e in unknown if e in cells}
    return {**alloy, "lattice_constants": {**given, **constants}}


def _located(value: Any, folder: Path) -> Any:  # noqa: ANN401  files, and whatever is none
    """Return a path, or each of a list, as absolute if it is a file's in a folder."""
    if isinstance(value, list):
        return [_located(one, folder) for one in value]
    if isinstance(value, str) and (folder / value).is_file():
        return str((folder / value).resolve())
    return value


def locate_files(campaign: Campaign, folder: Path) -> None:
    """Make relative paths absolute that lie in a folder."""
    located = partial(_located, folder=folder)
    _locate_sets(campaign, located)
    campaign.dataset.extra_frames = located(campaign.dataset.extra_frames)
    labels = [
        campaign.labels,
        *(s.labels for s in campaign.structures),
        *(m.labels for m in campaign.models),
        *(d.labels for d in campaign.test_sets.values()),
        campaign.grow and campaign.grow.labels,
        campaign.sqs and campaign.sqs[1],
    ]
    for spec in labels:
        if spec and "dataset" in spec.options:
            spec.options["dataset"] = located(spec.options["dataset"])
    for model in (campaign.model, *(entry.model for entry in campaign.models)):
        if model:
            model.path = located(model.path)
    campaign.benchmark.forgetting = located(campaign.benchmark.forgetting)
    method = campaign.training.method
    if isinstance(method, Replay):
        method.file = located(method.file)
    for entry in campaign.models:
        changed = entry.training.get("method")
        if isinstance(changed, dict) and "file" in changed:
            changed["file"] = located(changed["file"])


def _locate_sets(campaign: Campaign, located: Callable[[str], str]) -> None:
    """Make paths of datasets in set expressions absolute."""
    within = partial(located_set, locate=located)
    for one in campaign.structures:
        one.set = within(one.set)
    for test_set in campaign.test_sets.values():
        test_set.set = within(test_set.set)
    for entry in campaign.models:
        entry.set = entry.set and within(entry.set)
    if campaign.grow is not None:
        campaign.grow.sets = [within(one) for one in campaign.grow.sets]
