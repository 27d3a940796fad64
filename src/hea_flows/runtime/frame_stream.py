"""Frames of an extended XYZ file one by one, within a limit of their size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ase import Atoms
from ase.io.extxyz import read_xyz

from hea_flows.inputs import cut, refuse_above, shown
from hea_flows.runtime.dialects import parse_header
from hea_flows.settings import get_settings

_OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
}
_LONGEST_LINE = 1_000_000
_MOST_COLUMNS = 1_000
#: What a small frame takes in memory (bytes).
_LEAST = 4_000


def stream_frames(path: Path) -> Iterator[Atoms]:
    """Yield the frames of a file; a suffix ``.gz``, ``.xz`` or ``.bz2`` tells the compression.

    A frame is read when it is asked for, so that memory holds one at a time.

    Raises
    ------
    LimitError
        If the frames take more than the setting ``max_frames_mb``, decompressed.
    ValueError
        If a frame cannot be read; the message names it and its line.
    """
    with _OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8") as file:
        lines = _Lines(file)
        limit, size, index = get_settings().max_frames_mb, 0, 0
        while (first := lines.next()) is not None:
            if not first.strip():
                continue
            index += 1
            place = f"frame {index}, line {lines.number}"
            block = [first]
            for line in lines.frame(first, place):
                block.append(line)
                size += len(line)
                refuse_above(size / 1e6, limit, f"{path} has {{}} MB or more", "max_frames_mb")
            size += max(0, _LEAST - sum(map(len, block)))
            yield _parsed("".join(block), place)


class _Lines:
    """The lines of a file, counted, none of them endless."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.number = file, 0

    def next(self) -> str | None:
        """Return the next line; None at the end of the file."""
        line = self.file.readline(_LONGEST_LINE)
        self.number += 1
        if len(line) == _LONGEST_LINE:
            msg = f"line {self.number} is longer than {_LONGEST_LINE} characters"
            raise ValueError(msg)
        return line or None

    def frame(self, first: str, place: str) -> Iterator[str]:
        """Yield the comment and the atoms of a frame whose first line gives their number."""
        if not re.fullmatch("[0-9]{1,18}", first.strip()):
            msg = f"{place}: expected a number of atoms, found {shown(first.strip())}"
            raise ValueError(msg)
        expected = int(first) + 1
        for i in range(expected):
            line = self.next()
            if line is None:
                msg = f"{place}: the file ends after {max(0, i - 1)} of {first.strip()} atoms"
                raise ValueError(msg)
            if i == 0:
                _check_columns(line, place)
            yield line


def _check_columns(comment: str, place: str) -> None:
    """Refuse a table that says it has more columns than any table has."""
    if match := re.search(r"Properties=[\"']?([^\s\"']+)", comment, re.IGNORECASE):
        for columns in match[1].split(":")[2::3]:
            if not re.fullmatch("[0-9]{1,4}", columns) or int(columns) > _MOST_COLUMNS:
                msg = f"{place}: Properties give {shown(columns)} columns"
                raise ValueError(msg)


def _parsed(block: str, place: str) -> Atoms:
    try:
        [frame] = read_xyz(io.StringIO(block), slice(None), properties_parser=parse_header)
    except Exception as error:  # ASE raises of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"{place}: {cut(reason, 200)}"
        raise ValueError(msg) from error
    atoms: Atoms = frame
    return atoms
