"""Compositions: shares of the elements, the whole numbers of sites that hold them, entropies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, lgamma, log

import numpy as np
from ase.units import kB

#: Shares add up to 1, and are equal, within this.
_TOLERANCE = 1e-6


def unequal_shares(composition: Mapping[str, float], elements: Sequence[str]) -> dict[str, float]:
    """Return the share of each element, in their order, adding up to 1; none for equal parts.

    Parameters
    ----------
    composition
        Share of each element; none for equal parts.
    elements
        The elements.

    Raises
    ------
    ValueError
        If an element has no share, or another one has; or they do not add up to 1.
    """
    if not composition:
        return {}
    given = ", ".join(f"{e}: {x:g}" for e, x in composition.items())
    if set(composition) != set(elements):
        wrong = [*(e for e in elements if e not in composition), *(set(composition) - {*elements})]
        msg = (
            f"composition {{{given}}} must name exactly the elements {', '.join(elements)}; "
            f"{wrong[0]} is {'missing' if wrong[0] in elements else 'none of them'}"
        )
        raise ValueError(msg)
    total = sum(composition.values())
    if not all(isfinite(x) and x > 0 for x in composition.values()) or abs(total - 1) > _TOLERANCE:
        msg = f"shares of a composition are above 0 and add up to 1, got {{{given}}} ({total:g})"
        raise ValueError(msg)
    if max(composition.values()) - min(composition.values()) < _TOLERANCE:
        return {}
    return {e: composition[e] / total for e in elements}


def whole_counts(shares: Mapping[str, float], n_sites: int) -> dict[str, int]:
    """Return the sites per element of the composition nearest to `shares` that a cell holds.

    Each element has at least one site. Of all such compositions it is the one of least squared
    deviation (largest remainders); of equal remainders the first element's site comes first.

    Parameters
    ----------
    shares
        Of the elements, adding up to 1.
    n_sites
        Alloyed sites of the cell.

    Raises
    ------
    ValueError
        If there are more elements than sites.
    """
    if len(shares) > n_sites:
        msg = f"{n_sites} sites cannot hold {len(shares)} elements {list(shares)}"
        raise ValueError(msg)
    exact = np.array(list(shares.values())) * n_sites
    counts = np.maximum(np.floor(exact + _TOLERANCE).astype(np.int64), 1)
    while (missing := n_sites - counts.sum()) != 0:
        gap = (exact - counts).round(9)
        if missing > 0:
            counts[np.argmax(gap)] += 1
        else:
            counts[np.argmin(np.where(counts > 1, gap, np.inf))] -= 1
    return dict(zip(shares, counts.tolist(), strict=True))


def equal_counts(elements: Sequence[str], n_sites: int) -> dict[str, int]:
    """Return the sites per element of equal parts.

    Raises
    ------
    ValueError
        If the cell does not hold them exactly.
    """
    counts = whole_counts(dict.fromkeys(elements, 1 / len(elements)), n_sites)
    if len(set(counts.values())) > 1:
        msg = (
            f"{n_sites} sites do not hold equal parts of {', '.join(elements)}: no whole numbers "
            f"({n_sites / len(elements):g} each); change the cell, or name a composition, which is "
            "rounded"
        )
        raise ValueError(msg)
    return counts


def ideal_entropy(shares: Sequence[float]) -> float:
    """Return the entropy −k_B Σ x ln x of ideal mixing of the infinite alloy (eV/K per site)."""
    return float(-kB * sum(x * log(x) for x in shares if x > 0))


def cell_entropy(counts: Sequence[int]) -> float:
    """Return the entropy k_B ln(N!/Π N_i!)/N of all decorations of a cell (eV/K per site).

    This is the exact canonical value of a finite supercell at infinite temperature; it lies below
    `ideal_entropy` by a term of order ln(N)/N.

    Parameters
    ----------
    counts
        Sites of each element, at least one in all.

    Raises
    ------
    ValueError
        If a count is negative or no whole number, or there is no site.
    """
    if any(n < 0 or n != int(n) for n in counts) or sum(counts) < 1:
        msg = f"counts are whole numbers of sites, at least one in all, got {list(counts)}"
        raise ValueError(msg)
    total = sum(counts)
    return float(kB * (lgamma(total + 1) - sum(lgamma(n + 1) for n in counts)) / total)


def is_rounded(shares: Mapping[str, float], counts: Mapping[str, int]) -> bool:
    """Return whether sites per element are not exactly at the shares asked for."""
    n_sites = sum(counts.values())
    return any(abs(counts[e] - x * n_sites) > _TOLERANCE * n_sites for e, x in shares.items())


def asked_and_held(shares: Mapping[str, float], counts: Mapping[str, int]) -> str:
    """Return a composition that was asked for, and the one that a cell holds, in words."""
    asked = ", ".join(f"{e} {x:.4g}" for e, x in shares.items())
    held = ", ".join(f"{e} {n}" for e, n in counts.items())
    return f"asked for {asked}; {sum(counts.values())} sites hold {held}"
