"""Model files: plain containers and tensors; what may run code opens by a promised checksum only.

Two types keep apart what is known of a file. A `Promised` checksum is one that somebody stands
for; a `Measured` one says what the file was, and opens nothing.
"""

from __future__ import annotations

import hashlib
import io
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from hea_flows.runtime import atomic_write
from hea_flows.schemas import Measured, ModelSpec, Promised

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
        Where it comes from: parent, seed, epoch; of an exported one, the `offsets` of its labels.
        Nothing that differs between two equal runs.
    """

    family: str
    config: Mapping[str, Any]
    state: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> Literal["float32", "float64"]:
        """The precision that the model was trained in."""
        types = {getattr(value, "dtype", None) for value in self.state.values()}
        return "float64" if torch.float64 in types else "float32"


@dataclass(frozen=True)
class ModelFile:
    """The file that a spec means.

    Parameters
    ----------
    spec
        What was asked for.
    path
        Where the file is.
    promised
        The checksum that somebody stands for: given with the model, or published for its name.
    """

    spec: ModelSpec
    path: Path
    promised: Promised | None

    @property
    def expected(self) -> Promised | Measured | None:
        """The checksum that the file must have, if any is known."""
        return self.promised or self.spec.measured

    def resolved(self) -> ModelSpec:
        """Return the spec with the checksum of the file, compared with the expected one.

        What was only measured stays so.
        """
        measured = verify(self.path, self.expected)
        if self.promised is None:
            return self.spec.model_copy(update={"measured": measured})
        return self.spec.model_copy(update={"sha256": self.promised, "measured": None})

    def promise(self) -> Promised:
        """Return the promised checksum.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If nobody stands for the file. The line says what it measures, and where a person who
            trusts it writes that down.
        """
        if self.promised is not None:
            return self.promised
        line = self.spec.model_dump(exclude_defaults=True, exclude={"measured"})
        line["sha256"] = str(verify(self.path, self.expected))
        given = yaml.safe_dump(line, default_flow_style=True, width=sys.maxsize, sort_keys=False)
        what, why = str(self.path), "may run code, so it is loaded only with a promised checksum"
        if self.spec.path is None:
            what, why = f"{self.spec.family} model {self.spec.name!r}", "has no published checksum"
        msg = f"{what} {why}; if you trust where it comes from, write model: {given.strip()}"
        raise ModelFileError(msg)


def verify(path: Path | str, sha256: str | None) -> Measured:
    """Return the sha256 of a file, after comparing it with the expected one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the checksum is another one.
    """
    return Measured(hashlib.sha256(read_bytes(path, sha256)).hexdigest())


def read_bytes(path: Path | str, sha256: str | None = None) -> bytes:
    """Return a file's content, after comparing its checksum with the expected one.

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
            msg = f"{path}: sha256 is {actual}, {sha256} was expected; not loaded"
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
    return _plain(read_bytes(path, sha256), path)


def _plain(raw: bytes, path: Path | str) -> Content:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch did not write
            return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  # of a damaged file torch raises whatever it meets
        msg = f"{path} does not hold plain data only, so it was not loaded ({first_line(error)})"
        raise ModelFileError(msg) from None


def load_pickle(path: Path | str, promised: Promised) -> Content:
    """Load a file of another program, which may run code: with its promised checksum.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the checksum is another one; nothing was run then. Also if the file is damaged, or needs
        a package that is not there.
    """
    raw = read_bytes(path, promised or "none")  # None compares nothing
    try:
        return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=False)
    except Exception as error:  # noqa: BLE001  # a pickle may raise whatever it likes
        msg = f"{path} could not be loaded: {first_line(error)}"
        raise ModelFileError(msg) from None


def load_plain_or_pickle(file: ModelFile) -> Content:
    """Load a file of plain data, or of anything else only with its promised checksum.

    See `load_plain`, `ModelFile.promise` and `load_pickle` for errors.
    """
    raw = read_bytes(file.path, file.expected)
    try:
        return _plain(raw, file.path)
    except ModelFileError:
        return load_pickle(file.path, file.promise())


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


def save(path: Path, checkpoint: Checkpoint) -> Promised:
    """Write a checkpoint at once or not at all; equal checkpoints are equal files.

    Returns
    -------
    Promised
        The sha256 of the file: what this package wrote, it stands for.
    """
    return Promised(write_plain(path, as_content(checkpoint)))


def as_content(checkpoint: Checkpoint) -> Content:
    """Return what the file of a checkpoint holds."""
    return {
        "format": FORMAT,
        "family": checkpoint.family,
        "config": dict(checkpoint.config),
        "state": dict(checkpoint.state),
        "meta": dict(checkpoint.meta),
    }


def write_plain(path: Path, content: Content) -> str:
    """Write plain containers and tensors at once or not at all; return the sha256 of the file."""
    raw = plain_bytes(content)
    atomic_write(path, raw)
    return hashlib.sha256(raw).hexdigest()


def digest(content: Content) -> str:
    """Return the sha256 of plain containers and tensors as `write_plain` would write them."""
    return hashlib.sha256(plain_bytes(content)).hexdigest()


def plain_bytes(content: Content) -> bytes:
    """Return plain containers and tensors as a file holds them; equal content is equal bytes."""
    buffer = io.BytesIO()  # a file's name would become part of the archive
    torch.save(_canonical(content), buffer)
    return buffer.getvalue()


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
