"""Reading and writing labelled frames (`ase.Atoms` with results) as exact extended XYZ."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict

from hea_flows.inputs import LimitError
from hea_flows.runtime.dialects import DialectError, take_labels
from hea_flows.runtime.files import atomic_write
from hea_flows.runtime.frame_stream import stream_frames

#: Values of `Atoms.info` that are written.
Plain = str | int | float | bool
#: What MACE's default names begin with.
_PREFIX = "REF_"
_TOTALS = ("energy", "free_energy", "magmom")
_COLUMNS = ("forces", "magmoms")
#: Files are compressed by suffix.
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": partial(gzip.compress, mtime=0),
    ".xz": lzma.compress,
}


def frames_content(
    frames: Iterable[Atoms], suffix: str = "", *, keys: Literal["ase", "mace"] = "ase"
) -> bytes:
    """Return frames as extended XYZ, every number with all its digits.

    `ase.io.write` keeps eight decimals; here frames read again have identical arrays.

    Parameters
    ----------
    frames
        Structures with energy, free energy, forces, stress and, if spin-polarised, moments.
    suffix
        ``.gz`` or ``.xz`` compresses.
    keys
        Names of the results: ASE's own (``energy``, ``forces``, ``stress``), or those that MACE
        reads by default (``REF_energy``, ``REF_forces``, ``REF_stress``). With MACE's a layer is
        written as periodic in all directions, ``REF_pbc`` telling the truth, because MACE replaces
        a cell vector without periodicity by one of its own: its volume, and so its stress, would
        not be the labels'.
    """
    prefix = _PREFIX if keys == "mace" else ""
    raw = "".join(_block(frame, prefix) for frame in frames).encode()
    return _COMPRESSORS[suffix](raw) if suffix in _COMPRESSORS else raw


def write_frames(
    path: Path, frames: Iterable[Atoms], *, keys: Literal["ase", "mace"] = "ase"
) -> None:
    """Write frames to a file, which is replaced as a whole; see `frames_content`."""
    atomic_write(path, frames_content(frames, path.suffix, keys=keys))


def read_frames(path: Path, *, needs: Collection[str] = ()) -> list[Atoms]:
    """Read extended XYZ frames with their results, under the names of `hea_flows.runtime.dialects`.

    Parameters
    ----------
    path
        The file; a suffix ``.gz`` or ``.xz`` says that it is compressed.
    needs
        Results that every frame must have, such as ``energy``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read as extended XYZ, or a frame's labels cannot; it names the frame,
        counted from 1.
    LimitError
        If it is larger than the setting ``max_frames_mb``, decompressed.
    """
    if not path.is_file():
        msg = f"no frames file at {path}"
        raise FileNotFoundError(msg)
    frames: list[Atoms] = []
    try:
        for frame in stream_frames(path):
            if (pbc := frame.info.pop(f"{_PREFIX}pbc", None)) is not None:
                frame.pbc = pbc
            take_labels(frame, needs)
            frames.append(frame)
    except LimitError:
        raise
    except DialectError as error:
        msg = f"{path}, frame {len(frames) + 1}: {error}"
        raise ValueError(msg) from None
    except Exception as error:
        msg = f"{path} is not a readable extended XYZ file: {error}"
        raise ValueError(msg) from error
    return frames


def _block(frame: Atoms, prefix: str) -> str:
    results = frame.calc.results if frame.calc else {}
    columns: list[np.ndarray] = [frame.positions]
    properties = "species:S:1:pos:R:3"
    for key in _COLUMNS:
        if key in results:
            values = np.asarray(results[key], dtype=float).reshape(len(frame), -1)
            columns.append(values)
            properties += f":{prefix}{key}:R:{values.shape[1]}"
    header: dict[str, Plain] = {
        "Lattice": " ".join(repr(float(x)) for x in frame.cell.array.ravel()),
        "Properties": properties,
    }
    header |= {
        k: _info(v) for k, v in frame.info.items() if isinstance(v, Plain | np.bool_ | np.integer)
    }
    header |= {prefix + k: float(results[k]) for k in _TOTALS if k in results}
    if "stress" in results:
        xx, yy, zz, yz, xz, xy = (float(x) for x in results["stress"])
        stress = (xx, xy, xz, xy, yy, yz, xz, yz, zz)
        header[f"{prefix}stress"] = " ".join(repr(x) for x in stress)
    pbc = " ".join("T" if p else "F" for p in frame.pbc)
    if prefix and not all(frame.pbc):
        header[f"{prefix}pbc"], pbc = pbc, "T T T"
    header["pbc"] = pbc
    table = np.hstack(columns)
    rows = (
        f"{symbol} " + " ".join(repr(float(x)) for x in row)
        for symbol, row in zip(frame.get_chemical_symbols(), table, strict=True)
    )
    return f"{len(frame)}\n{key_val_dict_to_str(header)}\n" + "\n".join(rows) + "\n"


def _info(value: Plain | np.generic) -> Plain:
    """Return a value in the form that ASE reads back unchanged, for example "12345e67" as text."""
    if isinstance(value, str):
        read = key_val_str_to_dict(key_val_dict_to_str({"x": value}))["x"]
        return value if isinstance(read, str) and read == value else f"_JSON {json.dumps(value)}"
    return value.item() if isinstance(value, np.generic) else value
