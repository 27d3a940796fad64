"""Labels of a frame under the names that programs give them in extended XYZ files.

==============  =================================================================
written by      names
==============  =================================================================
ASE             ``energy``, ``free_energy``, ``forces``, ``stress``, ``magmoms``
MACE            ``REF_energy``, ``REF_forces``, ``REF_stress``, ``REF_virials``
GAP, QUIP       ``dft_energy``, ``dft_force``, ``dft_virial``
NEP, DeePMD     ``energy``, ``forces`` or ``force``, ``virial`` or ``virials``
others          ``forces_dft``, ``Energy``: the prefix behind, in any case
==============  =================================================================

``REF_`` counts more than ``dft_``, and that more than plain names. What is missing under the first
is taken from the next, unless the two differ in a quantity that both have: then the next are
results of another method, for example a model's predictions beside its labels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import key_val_str_to_dict
from ase.units import GPa
from numpy.typing import NDArray

#: Prefixes or suffixes of names, those that count most first; "" is none.
_ORIGINS = ("ref", "dft", "")
_NAME = re.compile(r"(?:(ref|dft)[_-])?(.+?)(?:[_-](ref|dft))?", re.IGNORECASE)
_UNIT = re.compile(r"(.+)[_-]units?", re.IGNORECASE)
#: Names by which ASE takes nothing but nine numbers; what is in quotes or braces is no name.
_TENSOR = re.compile(r'"(?:\\.|[^"\\])*"|\{[^}]*\}|(?<![\w-])(stress|virial)(?=\s*=)')
_ANY = "any-shape-"
_PLURALS = {"force": "forces", "virials": "virial"}


@dataclass(frozen=True)
class _Quantity:
    """Units by name, the largest number a solid has (energies by atom), and where it stands."""

    units: Mapping[str, float]
    largest: float
    column: bool = False


_ENERGY = _Quantity({"eV": 1.0}, 1e6)
_MOMENT = _Quantity({"μB": 1.0}, 100.0)
_QUANTITIES: Mapping[str, _Quantity] = {
    "energy": _ENERGY,
    "free_energy": _ENERGY,
    "forces": _Quantity({"eV/Å": 1.0}, 1e3, column=True),
    "stress": _Quantity({"eV/Å^3": 1.0, "GPa": GPa}, 10.0),
    "virial": _ENERGY,
    "magmom": _MOMENT,
    "magmoms": _Quantity(_MOMENT.units, _MOMENT.largest, column=True),
}
#: Places of xx, yy, zz, yz, xz, xy among nine numbers.
_VOIGT, _MIRRORED = [0, 4, 8, 5, 2, 1], [0, 4, 8, 7, 6, 3]


class DialectError(ValueError):
    """The labels of a frame cannot be read; in one line."""


def parse_header(line: str) -> dict[str, Any]:
    """Read the second line of a frame as ASE does, but also tensors of six numbers."""
    found: dict[str, Any] = key_val_str_to_dict(
        _TENSOR.sub(lambda m: _ANY + m[1] if m[1] else m[0], line)
    )
    for name in ("stress", "virial"):
        if _ANY + name in found:
            found[name] = np.asarray(found.pop(_ANY + name))
    return found


def take_labels(frame: Atoms, needs: Collection[str] = ()) -> None:
    """Make labels of a frame its `calc.results`: eV, eV/Å, eV/Å³ with ASE's sign.

    A virial becomes a stress, −virial/volume. A tensor is nine numbers, or six in Voigt's order
    (xx, yy, zz, yz, xz, xy). A unit is named by a key such as ``stress-unit``.

    Parameters
    ----------
    frame
        As ASE reads it. Names and units of labels leave its `info` and `arrays`.
    needs
        Results that it must have.

    Raises
    ------
    DialectError
        If one of these is missing; for an unknown unit, two values under names that count the
        same, a wrong number of values, or values that no solid has.
    """
    results = {} if frame.calc is None else dict(frame.calc.results)
    columns = [key for key in frame.arrays if key not in {"numbers", "positions"}]
    there = f"its keys are {', '.join([*results, *frame.info, *columns]) or 'none':.200}"
    units = {
        quantity: frame.info.pop(key)
        for key in list(frame.info)
        if (match := _UNIT.fullmatch(key)) and (quantity := _meaning(match[1])[1]) in _QUANTITIES
    }
    found: dict[str, dict[str, NDArray[np.float64]]] = {origin: {} for origin in _ORIGINS}
    for table, column in ((results, None), (frame.info, False), (frame.arrays, True)):
        for key in list(table):
            origin, quantity = _meaning(key)
            kind = _QUANTITIES.get(quantity)
            if kind is None or column not in {None, kind.column}:
                continue
            value = _read(frame, key, quantity, table.pop(key), units.get(quantity))
            name = "stress" if quantity == "virial" else quantity
            if not _equal(found[origin].setdefault(name, value), value):
                msg = f"two values of {name}, one of them {key}; {there}"
                raise DialectError(msg)
    labels: dict[str, NDArray[np.float64]] = {}
    for origin in _ORIGINS:
        given = found[origin]
        if all(_equal(labels[k], v) for k, v in given.items() if k in labels):
            labels = given | labels
    results |= {k: v if v.ndim else float(v) for k, v in labels.items()}
    if missing := [name for name in needs if name not in results]:
        msg = f"no {' and no '.join(missing)}; {there}"
        raise DialectError(msg)
    frame.calc = SinglePointCalculator(frame, **results) if results else None


def _meaning(key: str) -> tuple[str, str]:
    """Return origin and quantity of a name: ("ref", "forces") of REF_force."""
    match = _NAME.fullmatch(key)
    if match is None:
        return "", ""
    quantity = match[2].lower()
    return (match[1] or match[3] or "").lower(), _PLURALS.get(quantity, quantity)


def _read(
    frame: Atoms, key: str, quantity: str, value: object, unit: object
) -> NDArray[np.float64]:
    """Return a label in the package's units; of a virial, the stress."""
    kind, n = _QUANTITIES[quantity], len(frame)
    raw = np.asarray(value)
    shapes: Mapping[str, Collection[tuple[int, ...]]] = {
        "forces": [(n, 3)],
        "magmoms": [(n,), (n, 3)],
        "stress": [(6,), (9,), (3, 3)],
        "virial": [(6,), (9,), (3, 3)],
    }
    accepted = shapes.get(quantity, [()])
    if raw.dtype.kind not in "if" or raw.shape not in accepted:
        given = " ".join(str(value).split())
        numbers = " or ".join("×".join(map(str, s)) + " numbers" for s in accepted if s)
        msg = f"{key} is {given:.40}; expected {numbers or 'one number'}"
        raise DialectError(msg)
    label = raw * _factor(quantity, unit) if unit is not None else raw.astype(float)
    per_atom = n if quantity in {"energy", "free_energy", "virial", "magmom"} else 1
    size = float(np.abs(label).max(initial=0.0)) / max(per_atom, 1)
    if not size <= kind.largest:  # also NaN
        msg = (
            f"{key} has {size:.3g} {next(iter(kind.units))}{'/atom' * (per_atom > 1)}; no solid "
            f"has more than {kind.largest:g}: another unit, or a damaged file"
        )
        raise DialectError(msg)
    if quantity not in {"stress", "virial"}:
        return label
    tensor = _symmetric(key, label.ravel())
    return tensor if quantity == "stress" else _stress(frame, key, tensor)


def _factor(quantity: str, unit: object) -> float:
    units = _QUANTITIES[quantity].units
    text = str(unit).replace("³", "^3").replace("**", "^")
    text = re.sub(r"angstroms?|ang\b|Å|(?<=/)A", "Å", text, flags=re.IGNORECASE)
    for name, factor in units.items():
        if text.lower() == name.lower():
            return factor
    msg = f"{quantity} in {str(unit)!r:.40}; accepted: {', '.join(units)}"
    raise DialectError(msg)


def _symmetric(key: str, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return six numbers of a tensor of six or nine; VASP's have a few digits of asymmetry."""
    if len(numbers) == len(_VOIGT):
        return numbers
    upper, lower = numbers[_VOIGT], numbers[_MIRRORED]
    if not np.allclose(upper, lower, rtol=0.0, atol=1e-2 * np.abs(numbers).max() + 1e-6):
        msg = f"{key} is not symmetric"
        raise DialectError(msg)
    return 0.5 * (upper + lower)


def _stress(frame: Atoms, key: str, virial: NDArray[np.float64]) -> NDArray[np.float64]:
    volume = abs(frame.cell.volume)
    if volume < 1e-6:
        msg = f"{key} is per volume of the cell, and the frame has no cell"
        raise DialectError(msg)
    stress: NDArray[np.float64] = -virial / volume
    size, largest = np.abs(stress).max(), _QUANTITIES["stress"].largest
    if size > largest:
        msg = f"{key} is a stress of {size:.3g} eV/Å^3; no solid has more than {largest:g}"
        raise DialectError(msg)
    return stress


def _equal(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=1e-6)
