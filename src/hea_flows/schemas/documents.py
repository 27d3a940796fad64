"""What every stored document is, and the registry of their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from hea_flows.schemas.blobs import (
    Blob,
    UnreadableDocumentError,
    content_sha256,
    is_blob,
    stand_in,
)
from hea_flows.schemas.files import ModelSpec
from hea_flows.schemas.record import Record

_KINDS: dict[str, type[Document]] = {}
_blobs = TypeAdapter(list[Blob])


def _date_text(value: object) -> object:
    """Return the text of a date that monty wrote to JSON, as runners without BSON do."""
    return value.get("string", value) if isinstance(value, dict) else value


class Document(Record):
    """What every stored document carries.

    A subclass says its kind, ``kind: Literal["phonons"] = "phonons"``, and is known by it from then
    on: it can be queried, shown and traced. `heading` and `headline` say what is shown of it.

    Fields named in `blob_fields` lie in the data store. Their checksums are computed when the
    document is stored, and compared when it is read with them.

    Whoever adds a field gives it a default and raises that of `schema_version`: an older document
    is read, with the defaults of the fields that it lacks, and a newer one is refused.
    """

    #: Fields that lie in the data store; the job that returns the document says so by `in_store`.
    blob_fields: ClassVar[tuple[str, ...]] = ()

    kind: str
    schema_version: int = Field(1, description="Of this kind.")
    uuid: str = Field("", description="The job that wrote it.")
    campaign: str | None = None
    sources: dict[str, list[str]] = Field(
        default_factory=dict, description="Role to uuids of the documents it was made from."
    )
    versions: dict[str, str] = Field(default_factory=dict)
    created_at: Annotated[datetime, BeforeValidator(_date_text)] = Field(
        default_factory=lambda: datetime.now(UTC)
    )
    blobs: list[Blob] = Field(
        default_factory=list,
        description="Checksums of the fields in the data store; of a document in memory those of "
        "the fields that were not loaded.",
    )

    @classmethod
    def in_store(cls) -> list[list[str]]:
        """Return where jobflow finds the fields for the data store: ``job(data=Doc.in_store())``.

        The whole path, because jobflow would move whatever has the same name elsewhere too.
        """
        return [["output", role] for role in cls.blob_fields]

    @model_validator(mode="before")
    @classmethod
    def _known_version(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        supported, version = cls.model_fields["schema_version"].default, data.get("schema_version")
        if isinstance(version, int) and version > supported:
            reason = f"its schema version is {version}, this hea-flows reads up to {supported}"
            raise UnreadableDocumentError(data, reason, "update hea-flows")
        return data

    @model_validator(mode="before")
    @classmethod
    def _blobs_as_stored(cls, data: object) -> object:
        """Compare loaded fields with their checksums; let stand-ins take the place of others."""
        if not isinstance(data, dict):
            return data
        left = {role for role in cls.blob_fields if is_blob(data.get(role))}
        content = data | {
            role: stand_in(cls.model_fields[role].annotation, role, data) for role in left
        }
        try:
            blobs = _blobs.validate_python(data.get("blobs", []))
        except ValidationError:  # told with the other fields
            return content
        for blob in blobs:
            if blob.role in left:
                continue
            if (sha256 := content_sha256(content.get(blob.role))) != blob.sha256:
                reason = (
                    f"{blob.role} is not what was stored (sha256 {sha256[:12]}, the document says "
                    f"{blob.sha256[:12]})"
                )
                raise UnreadableDocumentError(data, reason)
        content["blobs"] = [blob for blob in blobs if blob.role in left]
        return content

    @model_serializer(mode="wrap")
    def _with_checksums(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialize(self)
        if "blobs" in data:
            left = {blob.role for blob in self.blobs}
            data["blobs"] += [
                {"role": role, "sha256": content_sha256(data[role])}
                for role in self.blob_fields
                if role not in left and data.get(role) is not None
            ]
        return data

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


def kinds() -> Mapping[str, type[Document]]:
    """Return the class of every kind of document, by name.

    Those of other packages are here once they are imported, or where the package names them in an
    entry point of the group ``hea_flows.documents``.
    """
    _load_plugins()
    return MappingProxyType(_KINDS)


def joined(versions: Mapping[str, str]) -> str:
    """Return names with their versions, ``python 3.11.0, ase 3.24``."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def describe_model(role: str, model: ModelSpec | None) -> dict[str, object]:
    """Return the entries of a headline that identify a model; None is trained from scratch."""
    if model is None:
        return {role: "from scratch"}
    return {role: model.title, f"{role} sha256": model.checksum, f"{role} licence": model.licence}
