"""Files in the database, and which model file is meant."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Literal, NewType, Self

from pydantic import Field, model_validator

from hea_flows.inputs import Name
from hea_flows.runtime import atomic_write
from hea_flows.schemas.record import Record

#: A sha256 that somebody stands for: whoever gave it with a model, a published list, or the
#: document of a file that this package wrote. Only this opens a file that may run code.
Promised = NewType("Promised", str)
#: A sha256 that a file was found to have. It is compared, and opens nothing.
Measured = NewType("Measured", str)


class StoredFile(Record):
    """A binary file kept in the `data` store, with its checksum."""

    name: str
    sha256: str
    content: str = Field(description="base64")

    @classmethod
    def from_bytes(cls, name: str, raw: bytes) -> StoredFile:
        """Keep a content under a name."""
        content = base64.b64encode(raw).decode()
        return cls(name=name, sha256=hashlib.sha256(raw).hexdigest(), content=content)

    def read(self) -> bytes:
        """Return the content, after checking its checksum.

        Raises
        ------
        ValueError
            If the content does not have the recorded checksum.
        """
        raw = base64.b64decode(self.content)
        sha256 = hashlib.sha256(raw).hexdigest()
        if sha256 != self.sha256:
            msg = f"{self.name}: sha256 is {sha256}, the document says {self.sha256}; not used"
            raise ValueError(msg)
        return raw

    def write_to(self, directory: Path) -> Path:
        """Write the file, checked as by `read`, as ``<sha256>-<name>`` and return its path."""
        raw = self.read()
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.sha256[:16]}-{self.name}"
        if not path.exists() or path.read_bytes() != raw:
            atomic_write(path, raw)
        return path


class ModelSpec(Record):
    """Which potential: a foundation by name, or a file with its checksum."""

    family: Name = Field(description="Row of the model registry, for example chgnet or mace.")
    name: Name | None = Field(None, description="Foundation name, for example 0.3.0 or small.")
    path: str | None = Field(None, description="Local checkpoint.")
    sha256: Promised | None = Field(
        None, description="Checksum that the file must have; only this opens one that may run code."
    )
    measured: Measured | None = Field(
        None, description="Checksum that the file had when it was first read, promised by nobody."
    )
    dtype: Literal["float32", "float64"] = "float32"
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="Of a model from scratch: changes to the family's own."
    )
    callable: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$",
        description="Of the family ase: module:function, or a class, that returns a calculator.",
    )
    kwargs: dict[str, Any] = Field(default_factory=dict, description="What the callable is given.")
    licence: str | None = Field(
        None,
        max_length=200,
        description="Licence of the weights; a foundation's is known or given here.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_atomate2(cls, value: object) -> object:
        """Read the form in which atomate2 names a calculator."""
        if not isinstance(value, dict) or "@callable" not in value:
            return value
        own = {k: value[k] for k in ("sha256", "licence") if k in value}
        kwargs = {k: v for k, v in value.items() if not str(k).startswith("@") and k not in own}
        target = f"{value.get('@module')}:{value['@callable']}"
        return {"family": "ase", "callable": target, "kwargs": kwargs} | own

    @model_validator(mode="after")
    def _built_or_loaded(self) -> Self:
        if self.architecture and (self.name or self.path):
            msg = (
                f"{self.family}: a model that is loaded has its architecture; leave it out, or "
                "leave out name and path to train from scratch"
            )
            raise ValueError(msg)
        if (self.family == "ase") != (self.callable is not None) or (
            self.callable is None and self.kwargs
        ):
            msg = (
                "callable and kwargs are those of the family ase, for example {family: ase, "
                "callable: 'chgnet.model.dynamics:CHGNetCalculator', kwargs: {}}"
            )
            raise ValueError(msg)
        return self

    @property
    def checksum(self) -> Promised | Measured | None:
        """Which file it is: the measured checksum, or else the promised one; they are equal.

        Of a calculator of the family ase, what is measured is more than its files.
        """
        return self.measured or self.sha256

    def content(self) -> dict[str, Any]:
        """Return what predictions depend on: not where the file is, nor who vouches for it."""
        content = self.model_dump(exclude={"path", "measured", "licence", "callable", "kwargs"})
        called = {"callable": self.callable, "kwargs": self.kwargs} if self.callable else {}
        return content | {"sha256": self.checksum} | called

    @property
    def pretrained(self) -> bool:
        """True for a trained model, named or in a file; False for a family to train afresh."""
        return bool(self.name or self.path or self.callable)

    @property
    def title(self) -> str:
        """Short name for tables."""
        own = self.callable and self.callable.rsplit(":", 1)[1]
        return f"{self.family}-{self.name or own or (self.checksum or 'scratch')[:8]}"
