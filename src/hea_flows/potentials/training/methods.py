"""Which family trains by which method, and the frames of a replay."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ase import Atoms

from hea_flows.alloy import stream
from hea_flows.potentials.base import Family
from hea_flows.runtime.extxyz import read_frames
from hea_flows.schemas import ModelSpec, Replay, TrainingSettings


def check(family: Family, parent: ModelSpec | None, settings: TrainingSettings) -> None:
    """Refuse a family that does not train, a method it does not have, or one without a parent.

    Parameters
    ----------
    family
        The model family.
    parent
        What is fine-tuned; None from scratch.
    settings
        How it is trained.

    Raises
    ------
    ValueError
        In one line that says what is accepted.
    """
    if type(family).train is Family.train:
        msg = f"model family {family.name!r}: {family.no_training}"
        raise ValueError(msg)
    method = settings.method.label
    if not family.methods:  # settings of methods are those of the campaign's other models
        if parent is not None:
            msg = f"{family.name} models are fitted afresh: leave out name and path of the model"
            raise ValueError(msg)
        return
    if method not in family.methods:
        accepted = ", ".join(sorted(family.methods))
        msg = f"{family.name} has no training method {method!r}; accepted: {accepted}"
        raise ValueError(msg)
    if method != "all" and parent is None:
        msg = f"training method {method!r} needs a parent; from scratch all weights are trained"
        raise ValueError(msg)


def resolve(settings: TrainingSettings) -> TrainingSettings:
    """Return settings that name the checksum of the replay file, after comparing it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not the promised one.
    """
    method = settings.method
    if not isinstance(method, Replay):
        return settings
    sha256 = _verify(method)
    return settings.model_copy(update={"method": method.model_copy(update={"sha256": sha256})})


def recorded(settings: TrainingSettings) -> dict[str, Any]:
    """Return what of the settings decides how a run ends: no threads, no place of a file."""
    return settings.model_dump(exclude={"threads": True, "method": {"file"}})


def replay_frames(method: Replay, numbers: Collection[int]) -> list[Atoms]:
    """Return the frames of a replay, in the order of the file.

    Parameters
    ----------
    method
        File, how many frames, seed.
    numbers
        Atomic numbers that the parent knows; frames with others are not drawn.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not the promised one, or holds too few frames.
    """
    _verify(method)
    elements = set(numbers)
    whole = read_frames(Path(method.file), needs=("energy", "forces"))
    frames = [frame for frame in whole if set(frame.numbers.tolist()) <= elements]
    if len(frames) < method.frames:
        msg = (
            f"{method.file} holds {len(frames)} frames of elements that the parent knows; "
            f"{method.frames} were asked for"
        )
        raise ValueError(msg)
    rng = stream(method.seed, "replay")
    chosen = sorted(rng.choice(len(frames), method.frames, replace=False).tolist())
    return [frames[i] for i in chosen]


def _verify(method: Replay) -> str:
    from hea_flows.potentials import model_files  # torch, which a campaign's flow does not need

    if not Path(method.file).is_file():
        msg = f"no replay file at {method.file}"
        raise FileNotFoundError(msg)
    return model_files.verify(method.file, method.sha256)
