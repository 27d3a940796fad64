"""Foundation models by name: a file in the family's cache, and the checksum published for it."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hea_flows.potentials.model_files import ModelFile
from hea_flows.runtime import atomic_write
from hea_flows.schemas import ModelSpec, Promised

_TIMEOUT = 60.0  # s without an answer


@dataclass(frozen=True)
class Foundation:
    """Where a foundation model comes from.

    Parameters
    ----------
    url
        Address of the file.
    cache
        Folder of the family's own program, where the file is looked for and kept; ``~`` is the
        user's.
    sha256
        Its published checksum. Without one, whoever uses the name gives it.
    licence
        Licence under which it is distributed.
    """

    url: str
    cache: str
    sha256: Promised | None = None
    licence: str | None = None

    @property
    def path(self) -> Path:
        """The file in the cache."""
        return Path(self.cache).expanduser() / self.url.rsplit("/", 1)[1]


def locate(spec: ModelSpec, family: str, accepted: Mapping[str, Foundation]) -> ModelFile:
    """Return the file that a spec means, with what is promised of it; a name may download it.

    Parameters
    ----------
    spec
        A path, or a name.
    family
        Its family.
    accepted
        The family's foundations by name.

    Raises
    ------
    ValueError
        For an unknown name.
    FileNotFoundError
        If the file is not in the cache and cannot be downloaded.
    ModelFileError
        For a name without a checksum, given or published; the line says what the file measures.
    """
    if spec.path is not None:
        return ModelFile(spec, Path(spec.path), spec.sha256)
    if spec.name is None or spec.name not in accepted:
        raise unknown(family, spec.name, accepted)
    foundation = accepted[spec.name]
    if not foundation.path.is_file():
        try:
            atomic_write(foundation.path, _download(foundation.url))
        except (OSError, http.client.HTTPException) as error:
            raise unavailable(family, spec.name, foundation.url, error) from None
    return named(spec, foundation.path, foundation.sha256)


def named(spec: ModelSpec, path: Path, published: Promised | None) -> ModelFile:
    """Return the file of a name, by the checksum given with it, or else the published one.

    Raises
    ------
    ModelFileError
        Without either: what a download brought says nothing about who made it.
    """
    file = ModelFile(spec, path, spec.sha256 or published)
    file.promise()
    return file


def unknown(family: str, name: str | None, accepted: Iterable[str]) -> ValueError:
    """Return the error for a name that a family does not have."""
    names = "".join(f"{n}, " for n in accepted) or "no names, "
    return ValueError(f"unknown {family} model {name!r}; accepted: {names}or a path")


def unavailable(family: str, name: str, url: str, reason: object) -> FileNotFoundError:
    """Return the error for a foundation that is neither in the cache nor to be had."""
    return FileNotFoundError(
        f"{family} model {name!r} is not in the cache and could not be downloaded ({reason}); "
        f"get {url} and give its path and sha256"
    )


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310  a table's address
        raw: bytes = answer.read()
    return raw
