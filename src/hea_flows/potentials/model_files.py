"""Model files: plain containers and tensors, a checksum, no code that runs while loading."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hea_flows.runtime import atomic_write

#: First entry of every model file that this package writes.
FORMAT = "hea-flows model 1"

#: Containers, texts, numbers and tensors; of another program's file, anything.
Content = Any


class ModelFileError(ValueError):
    """A model file that is not what it should be, or not safe to load."""


@dataclass(frozen=True)
class Checkpoint:
    """A model as a file holds it.

    Parameters
    ----------
    family
        Row of the model registry.
    config
        What rebuilds the architecture: numbers, texts, lists and dicts only.
    state
        The module's `state_dict`.
    meta
        Where it comes from: parent, seed, epoch. Nothing that differs between two equal runs.
    """

    family: str
    config: Mapping[str, Any]
    state: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)


def verify(path: Path | str, sha256: str | None) -> str:
    """Return the sha256 of a file, after comparing it with the promised one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the checksum is another one.
    """
    return hashlib.sha256(read_bytes(path, sha256)).hexdigest()


def read_bytes(path: Path | str, sha256: str | None = None) -> bytes:
    """Return a file's content, after comparing its checksum with the promised one.

    It is read once, so that what is compared is what is loaded.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the checksum is another one.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"there is no model file {path}"
        raise FileNotFoundError(msg)
    raw = path.read_bytes()
    if sha256 is not None:
        actual = hashlib.sha256(raw).hexdigest()
        if actual != sha256.lower():
            msg = f"{path}: sha256 is {actual}, {sha256} was promised; not loaded"
            raise ModelFileError(msg)
    return raw


def load_plain(path: Path | str, sha256: str | None = None) -> Content:
    """Load a file of plain containers and tensors; its checksum is compared before that.

    Whatever the environment says, no pickled code is run.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the checksum is another one, or the file holds anything but plain data.
    """
    raw = read_bytes(path, sha256)
    try:
        return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        msg = f"{path} does not hold plain data only, so it was not loaded ({first_line(error)})"
        raise ModelFileError(msg) from None


def load_pickle(path: Path | str, sha256: str | None) -> Content:
    """Load a file of another program, which may run code: only with its checksum.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        Without a checksum, or if it is another one; nothing was run then. Also if the file is
        damaged, or needs a package that is not there.
    """
    if sha256 is None:
        msg = (
            f"{path} is a pickle, which may run code: give its sha256 in the model spec "
            "if you trust where it comes from"
        )
        raise ModelFileError(msg)
    raw = read_bytes(path, sha256)
    try:
        return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=False)
    except Exception as error:  # noqa: BLE001  # a pickle may raise whatever it likes
        msg = f"{path} could not be loaded: {first_line(error)}"
        raise ModelFileError(msg) from None


def load_plain_or_pickle(path: Path | str, sha256: str | None) -> Content:
    """Load a file of plain data, or of anything else only with its checksum.

    See `load_plain` and `load_pickle` for errors.
    """
    try:
        return load_plain(path, sha256)
    except ModelFileError:  # the same again, if its reason was the checksum
        return load_pickle(path, sha256)


def as_checkpoint(content: Content, family: str, path: Path | str) -> Checkpoint:
    """Return the checkpoint that `load_plain` read.

    Raises
    ------
    ModelFileError
        If it is not one of this package's, or belongs to another family.
    """
    if not is_checkpoint(content):
        msg = f"{path} is no {family} checkpoint of hea-flows"
        raise ModelFileError(msg)
    if content["family"] != family:
        msg = f"{path} holds a model of the family {content['family']!r}, not {family!r}"
        raise ModelFileError(msg)
    return Checkpoint(content["family"], content["config"], content["state"], content["meta"])


def is_checkpoint(content: Content) -> bool:
    """Return whether loaded content is a checkpoint of this package."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def load(path: Path | str, family: str, sha256: str | None = None) -> Checkpoint:
    """Load a checkpoint that `save` wrote; see `load_plain` and `as_checkpoint` for errors."""
    return as_checkpoint(load_plain(path, sha256), family, path)


def fill(module: torch.nn.Module, state: Mapping[str, Any], path: Path | str) -> None:
    """Give a module the weights of a file.

    Raises
    ------
    ModelFileError
        If the file has other weights than the module.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path}: {reason}"
        raise ModelFileError(msg) from None


def save(path: Path, checkpoint: Checkpoint) -> str:
    """Write a checkpoint at once or not at all; equal checkpoints are equal files.

    Returns
    -------
    str
        The sha256 of the file.
    """
    content = {
        "format": FORMAT,
        "family": checkpoint.family,
        "config": dict(checkpoint.config),
        "state": dict(checkpoint.state),
        "meta": dict(checkpoint.meta),
    }
    return write_plain(path, content)


def write_plain(path: Path, content: Content) -> str:
    """Write plain containers and tensors at once or not at all; return the sha256 of the file."""
    buffer = io.BytesIO()  # a file's name would become part of the archive
    torch.save(_canonical(content), buffer)
    raw = buffer.getvalue()
    atomic_write(path, raw)
    return hashlib.sha256(raw).hexdigest()


def digest(content: Content) -> str:
    """Return the sha256 of plain containers and tensors as `write_plain` would write them."""
    buffer = io.BytesIO()
    torch.save(_canonical(content), buffer)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def first_line(error: Exception) -> str:
    """Return what an error of another program says, short enough for a line of our own."""
    text = str(error).strip() or type(error).__name__
    return text.split("\n", 1)[0][:120]


def _canonical(content: Content) -> Content:
    """Rebuild content so that pickling it depends on its values only, not on shared objects."""
    if isinstance(content, torch.Tensor):
        return content.detach().to("cpu", copy=True).contiguous()
    if isinstance(content, Mapping):
        return {_canonical(k): _canonical(v) for k, v in content.items()}
    if isinstance(content, list | tuple):
        return [_canonical(v) for v in content]
    if isinstance(content, str):
        return sys.intern(str(content))
    if content is None or isinstance(content, bool | int | float):
        return content
    msg = f"a checkpoint holds plain data and tensors, not {type(content).__name__}"
    raise ModelFileError(msg)
