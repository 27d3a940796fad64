"""k-points of the KPOINTS forms that people write for relaxations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mesh:
    """A k-point set, fractional, reduced by time reversal; weights sum to one.

    `style` is `Gamma`, `Monkhorst-Pack` or `explicit` (lists and generating vectors); `vectors`
    are the generating vectors of an automatic mesh, as rows.
    """

    comment: str
    style: str
    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    divisions: tuple[int, int, int] | None = None
    vectors: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 3)))
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


def read(text: str, cell: NDArray[np.float64]) -> Mesh:
    """Read KPOINTS: automatic (Γ or Monkhorst-Pack), generating vectors, or a list.

    Raises
    ------
    ValueError
        If it has another form, or the generating vectors do not fit the reciprocal lattice.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    comment, count, style = lines[0], int(lines[1].split()[0]), lines[2].strip().lower()[:1]
    rows = [[float(x) for x in line.split("!")[0].split()] for line in lines[3:]]
    reciprocal = style not in {"c", "k"}
    if count > 0:
        if style == "l":
            msg = "line mode is not imitated"
            raise ValueError(msg)
        points = np.array([row[:3] for row in rows[:count]])
        if not reciprocal:
            points = points @ cell.T
        weights = np.array([row[3] if len(row) > 3 else 1.0 for row in rows[:count]])
        return Mesh(comment, "explicit", points, weights / weights.sum())
    if style in {"g", "m"}:
        divisions = tuple(int(x) for x in rows[0][:3])
        shift = rows[1] if len(rows) > 1 else [0.0, 0.0, 0.0]
        return _divided(comment, divisions, style == "g", shift)
    if style in {"r", "d", "c", "k"}:
        vectors = np.array([row[:3] for row in rows[:3]])
        if not reciprocal:
            vectors = vectors @ cell.T
        shift = np.array(rows[3][:3]) if len(rows) > 3 else np.zeros(3)
        return _generated(comment, vectors, shift)
    msg = f"mode {lines[2].strip()!r} is not imitated"
    raise ValueError(msg)


def spaced(cell: NDArray[np.float64], spacing: float, *, gamma: bool) -> Mesh:
    """Return the mesh of KSPACING (1/Å, with 2π)."""
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
    divisions = tuple(max(1, int(np.ceil(length / spacing - 1e-9))) for length in lengths)
    return _divided("KSPACING", divisions, gamma, [0.0, 0.0, 0.0])


def _divided(comment: str, divisions: tuple[int, ...], gamma: bool, shift: list[float]) -> Mesh:
    if min(divisions) < 1:
        msg = f"the divisions {divisions} must be positive"
        raise ValueError(msg)
    offsets = [0.0 if gamma or n % 2 else 0.5 for n in divisions]
    axes = [
        [(i + o + s) / n for i in range(n)]
        for n, o, s in zip(divisions, offsets, shift, strict=True)
    ]
    points = np.array([(x, y, z) for z in axes[2] for y in axes[1] for x in axes[0]])
    return Mesh(
        comment,
        "Gamma" if gamma else "Monkhorst-Pack",
        *_reduced(points),
        divisions=(divisions[0], divisions[1], divisions[2]),
        vectors=np.diag([1 / n for n in divisions]),
        shift=(shift[0], shift[1], shift[2]),
    )


def _generated(comment: str, vectors: NDArray[np.float64], shift: NDArray[np.float64]) -> Mesh:
    """Return all combinations of the generating vectors that differ by no reciprocal vector."""
    inverse = np.linalg.inv(vectors)
    if not np.allclose(inverse, inverse.round(), atol=1e-4):
        msg = "the generating vectors do not generate the reciprocal lattice vectors"
        raise ValueError(msg)
    count = round(abs(np.linalg.det(inverse)))
    orders = [_order(vector, count) for vector in vectors]
    unique: dict[tuple[int, ...], NDArray[np.float64]] = {}
    for numbers in itertools.product(*(range(order) for order in orders)):
        point = np.array(numbers) @ vectors
        unique.setdefault(tuple(np.rint(point * count).astype(int) % count), point)
        if len(unique) == count:
            break
    if len(unique) != count:
        msg = f"{len(unique)} k-points were found, the generating vectors ask for {count}"
        raise ValueError(msg)
    points = np.array(list(unique.values())) + shift @ vectors
    return Mesh(comment, "explicit", *_reduced(points))


def _order(vector: NDArray[np.float64], count: int) -> int:
    for order in range(1, count + 1):
        if np.allclose(order * vector, np.rint(order * vector), atol=1e-4):
            return order
    return count


def _reduced(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fold into (−1/2, 1/2] and merge k with −k."""
    points = points - np.ceil(points - 0.5 - 1e-9)
    kept: dict[tuple[int, ...], int] = {}
    counts: list[int] = []
    chosen = []
    for point in points:
        key = tuple(np.rint(point * 1e6).astype(int))
        opposite = -point - np.ceil(-point - 0.5 - 1e-9)
        mirrored = tuple(np.rint(opposite * 1e6).astype(int))
        at = kept.get(key, kept.get(mirrored))
        if at is None:
            kept[key] = len(counts)
            counts.append(1)
            chosen.append(point)
        else:
            counts[at] += 1
    return np.array(chosen) + 0.0, np.array(counts) / len(points)
