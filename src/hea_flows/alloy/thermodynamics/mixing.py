"""Mixing energies per formula unit, and energy offsets per element, which cancel in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def composition_matrix(
    counts: Sequence[Mapping[str, int]], elements: Sequence[str]
) -> NDArray[np.int64]:
    """Return the sites or atoms per structure and element, shape (structures, elements).

    Raises
    ------
    ValueError
        If a structure holds an element that is not listed.
    """
    if unknown := sorted({el for row in counts for el in row} - set(elements)):
        msg = f"no column for elements {unknown}; given: {', '.join(elements)}"
        raise ValueError(msg)
    rows = [[row.get(el, 0) for el in elements] for row in counts]
    return np.array(rows, dtype=np.int64).reshape(len(counts), len(elements))


def mixing_energy(
    energies: ArrayLike, counts: ArrayLike, end_points: ArrayLike
) -> NDArray[np.float64]:
    """Return mixing energies (eV per formula unit), E_mix = (E − Σ N_i e_i) / Σ N_i.

    Parameters
    ----------
    energies
        Total energies per cell (eV), shape (...,).
    counts
        Alloyed sites per element, shape (..., elements).
    end_points
        Energies per unit of the end points (eV), by the same method and kind of relaxation,
        shape (elements,). NaN where unknown: it matters only if the element is present.

    Raises
    ------
    ValueError
        If shapes disagree, a structure has no site, or a needed end point is missing.
    """
    e, n, pure = (np.asarray(x, dtype=np.float64) for x in (energies, counts, end_points))
    if n.shape != (*e.shape, *pure.shape) or pure.ndim != 1:
        msg = f"energies {e.shape}, counts {n.shape} and end points {pure.shape} do not match"
        raise ValueError(msg)
    units = n.sum(axis=-1)
    if (n < 0).any() or (units <= 0).any():
        msg = "every structure needs at least one alloyed site and no negative count"
        raise ValueError(msg)
    missing = np.isnan(pure)
    if (n[..., missing] > 0).any():
        columns = np.flatnonzero(missing).tolist()
        msg = f"end points of columns {columns} are missing but their elements are present"
        raise ValueError(msg)
    reference = n @ np.where(missing, 0.0, pure)
    return np.asarray((e - reference) / units, dtype=np.float64)


def mixing_energies(
    energies: Sequence[float],
    counts: Sequence[Mapping[str, int]],
    end_points: Mapping[str, float],
) -> NDArray[np.float64]:
    """Return mixing energies (eV per formula unit) of structures given by element.

    Parameters
    ----------
    energies
        Total energies per cell (eV).
    counts
        Alloyed sites per element of each structure (`Ordering.counts`).
    end_points
        Energy per unit (eV) of each element's end point.

    Raises
    ------
    ValueError
        Naming the elements whose end point is missing.
    """
    present = {el for row in counts for el, n in row.items() if n}
    if missing := sorted(present - set(end_points)):
        msg = f"no end point for {', '.join(missing)}; given: {', '.join(end_points) or 'none'}"
        raise ValueError(msg)
    elements = sorted(set(end_points) | {el for row in counts for el in row})
    pure = [end_points.get(el, np.nan) for el in elements]
    return mixing_energy(energies, composition_matrix(counts, elements), pure)


def fit_offsets(
    compositions: ArrayLike, differences: ArrayLike, elements: Sequence[str]
) -> dict[str, float]:
    """Fit energy offsets per element between two methods, least squares per atom.

    The solution has minimum norm, because the number of anions is tied to that of the alloyed
    sites, so that only combinations of offsets are determined.

    Parameters
    ----------
    compositions
        Atoms of *every* element per cell, anions included, shape (frames, elements).
    differences
        E(reference) − E(other) per cell (eV), shape (frames,).
    elements
        Names of the columns.

    Returns
    -------
    dict
        eV per atom, to be *added* to energies of the other method.

    Raises
    ------
    ValueError
        If shapes disagree, or a frame is empty.
    """
    n = np.asarray(compositions, dtype=np.float64)
    d = np.asarray(differences, dtype=np.float64)
    if n.ndim != 2 or n.shape != (len(d), len(elements)) or len(d) == 0:
        msg = f"compositions {n.shape} do not match {d.shape} differences, {len(elements)} elements"
        raise ValueError(msg)
    atoms = n.sum(axis=1)
    if (atoms <= 0).any() or not np.isfinite(d).all():
        msg = "every frame needs atoms and a finite energy difference"
        raise ValueError(msg)
    solution = np.linalg.lstsq(n / atoms[:, None], d / atoms, rcond=1e-10)[0]
    return {el: float(x) for el, x in zip(elements, solution, strict=True)}


def apply_offsets(
    energies: ArrayLike,
    compositions: ArrayLike,
    elements: Sequence[str],
    offsets: Mapping[str, float],
) -> NDArray[np.float64]:
    """Return energies per cell (eV) with the offset of every atom added.

    Parameters
    ----------
    energies
        Per cell (eV), shape (frames,).
    compositions
        Atoms of every element per cell, shape (frames, elements).
    elements
        Names of the columns.
    offsets
        eV per atom, as `fit_offsets` returns them.

    Raises
    ------
    ValueError
        If an element that is present has no offset.
    """
    n = np.asarray(compositions, dtype=np.float64)
    present = [el for el, column in zip(elements, n.T, strict=True) if column.any()]
    if missing := [el for el in present if el not in offsets]:
        msg = f"no offset for {', '.join(missing)}; given: {', '.join(offsets) or 'none'}"
        raise ValueError(msg)
    shift = n @ np.array([offsets.get(el, 0.0) for el in elements])
    return np.asarray(np.asarray(energies, dtype=np.float64) + shift)
