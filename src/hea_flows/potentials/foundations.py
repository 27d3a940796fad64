"""Foundation models by name: a file in the family's cache, downloaded once, and its checksum."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hea_flows.potentials import model_files
from hea_flows.runtime import atomic_write
from hea_flows.schemas import ModelSpec

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
        Its checksum, where that is known for sure; otherwise it is recorded at first use.
    """

    url: str
    cache: str
    sha256: str | None = None

    @property
    def path(self) -> Path:
        """The file in the cache."""
        return Path(self.cache).expanduser() / self.url.rsplit("/", 1)[1]


def locate(
    spec: ModelSpec, family: str, accepted: Mapping[str, Foundation]
) -> tuple[Path, str | None]:
    """Return the file that a spec means and the checksum it must have; a name may download it.

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
    """
    if spec.path is not None:
        return Path(spec.path), spec.sha256
    if spec.name is None or spec.name not in accepted:
        raise unknown(family, spec.name, accepted)
    foundation = accepted[spec.name]
    if not foundation.path.is_file():
        try:
            atomic_write(foundation.path, _download(foundation.url))
        except (OSError, http.client.HTTPException) as error:
            raise unavailable(family, spec.name, foundation.url, error) from None
    return foundation.path, checksum(foundation.path, spec, foundation.sha256)


def checksum(path: Path, spec: ModelSpec, published: str | None) -> str:
    """Return the checksum a foundation's file must have: promised, published, or recorded.

    Without the first two, the checksum found at first use is kept beside the file, as
    ``<file>.sha256``, and is what the file must have from then on.
    """
    if spec.sha256 is not None:
        return spec.sha256
    if published is not None:
        return published
    record = path.with_name(f"{path.name}.sha256")
    if not record.exists():
        atomic_write(record, model_files.verify(path, None).encode())
    return record.read_text().strip()


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
