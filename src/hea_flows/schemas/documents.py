"""What every stored document is, and the registry of their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated

from pydantic import BeforeValidator, Field

from hea_flows.schemas.files import ModelSpec
from hea_flows.schemas.record import Record

_KINDS: dict[str, type[Document]] = {}


def _date_text(value: object) -> object:
    """Return the text of a date that monty wrote to JSON, as runners without BSON do."""
    return value.get("string", value) if isinstance(value, dict) else value


class Document(Record):
    """What every stored document carries.

    A subclass says its kind, ``kind: Literal["phonons"] = "phonons"``, and is known by it from then
    on: it can be queried, shown and traced. `heading` and `headline` say what is shown of it.
    """

    kind: str
    uuid: str = Field("", description="The job that wrote it.")
    campaign: str | None = None
    sources: dict[str, list[str]] = Field(
        default_factory=dict, description="Role to uuids of the documents it was made from."
    )
    versions: dict[str, str] = Field(default_factory=dict)
    created_at: Annotated[datetime, BeforeValidator(_date_text)] = Field(
        default_factory=lambda: datetime.now(UTC)
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if not isinstance(kind, str):  # a base of several kinds
            return
        other = _KINDS.get(kind, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            msg = (
                f"{cls.__name__}: the kind {kind!r} is that of {other.__module__}."
                f"{other.__qualname__}; give it another"
            )
            raise TypeError(msg)
        _KINDS[kind] = cls

    @property
    def heading(self) -> str:
        """Short name in tables and trees, for example a formula or the name of a model."""
        return self.kind

    def headline(self) -> dict[str, object]:
        """Return what identifies the document: checksums, seeds, sizes; None and "" are left out.

        For subclasses to override; `described` is what is shown.
        """
        return {}

    def described(self) -> dict[str, str]:
        """Return the headline and the versions as text."""
        rows = self.headline() | {"versions": joined(self.versions)}
        return {key: str(value) for key, value in rows.items() if value not in (None, "")}


@cache
def _load_plugins() -> None:
    for entry in entry_points(group="hea_flows.documents"):
        entry.load()


def kinds() -> dict[str, type[Document]]:
    """Return the class of every kind of document, by name.

    Those of other packages are here once they are imported, or where the package names them in an
    entry point of the group ``hea_flows.documents``.
    """
    _load_plugins()
    return dict(sorted(_KINDS.items()))


def joined(versions: Mapping[str, str]) -> str:
    """Return names with their versions, ``python 3.11.0, ase 3.24``."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def describe_model(role: str, model: ModelSpec | None) -> dict[str, object]:
    """Return the entries of a headline that identify a model; None is trained from scratch."""
    if model is None:
        return {role: "from scratch"}
    return {role: model.title, f"{role} sha256": model.checksum}
