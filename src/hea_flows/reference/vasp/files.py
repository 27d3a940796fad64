"""Files of a run of VASP, plain, compressed or archived, as far as they are whole."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Protocol, cast

from monty.io import zopen
from monty.os.path import zpath


class Files(Protocol):
    """Files by name."""

    def open(self, name: str) -> BufferedIOBase:
        """Open a file; one that is not there is empty."""


@dataclass(frozen=True)
class Folder:
    """The files of a folder; ``OUTCAR`` may be ``OUTCAR.gz``."""

    path: Path

    def open(self, name: str) -> BufferedIOBase:
        """Open a file; one that is not there is empty."""
        path = Path(zpath(self.path / name))
        if not path.is_file() or not path.stat().st_size:
            return BytesIO()
        return cast("BufferedIOBase", zopen(path, "rb"))


@dataclass(frozen=True)
class Archive:
    """The files of an archive, whatever folder they are in."""

    members: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Archive:
        """Read all files.

        Raises
        ------
        tarfile.TarError, EOFError, zlib.error
            If the archive is cut.
        """
        members = {}
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    members[Path(member.name).name] = content.read()
        return cls(members)

    def open(self, name: str) -> BufferedIOBase:
        """Open a file; one that is not there is empty."""
        return BytesIO(self.members.get(name, b""))


@dataclass
class WholePart:
    """A stream that ends where its compressed file is cut or damaged, as a plain file does."""

    stream: BufferedIOBase
    is_cut: bool = False

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes; none at the end."""
        try:
            return self.stream.read1(size)
        except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError):
            self.is_cut = True
            return b""


def read_text(files: Files, name: str, *, whole: bool = False) -> str:
    """Return the text of a file, as far as it is there; empty without one.

    Raises
    ------
    EOFError
        If it is cut, and the `whole` of it is needed: half of an input is another calculation's.
    """
    with files.open(name) as stream:
        part = WholePart(stream)
        text = b"".join(iter(lambda: part.read(1 << 20), b"")).decode(errors="replace")
    if whole and part.is_cut:
        msg = f"{name} is cut"
        raise EOFError(msg)
    return text
