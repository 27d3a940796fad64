"""Excess free energy of a solution as Redlich–Kister polynomials, and its file for CALPHAD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
from ase.units import kB, kJ, mol
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

Floats = NDArray[np.float64]
#: Elements of an interaction, and its power of (x_i − x_j); 0 for those of three elements.
Term = tuple[tuple[str, ...], int]

#: J/mol of one eV per formula unit.
_J_PER_MOL = 1000 * mol / kJ


@dataclass(frozen=True)
class RedlichKister:
    """Free energy of mixing of one phase of any composition, per alloyed site.

    G = Σ_{i<j} x_i x_j Σ_v L_ij,v (x_i − x_j)^v + Σ_{i<j<k} x_i x_j x_k L_ijk + k_B T Σ x ln x,
    relative to the pure ends, with L = a + b T (O. Redlich and A. T. Kister, Ind. Eng. Chem. 40,
    345 (1948)).

    Parameters
    ----------
    elements
        The n elements, whose order gives the signs of odd terms.
    parameters
        a (eV) and b (eV/K) of each term.
    """

    elements: tuple[str, ...]
    parameters: Mapping[Term, tuple[float, float]]

    @classmethod
    def fit(
        cls,
        elements: Sequence[str],
        compositions: ArrayLike,
        temperatures: ArrayLike,
        excess: ArrayLike,
        *,
        order: int = 2,
        ternary: bool = True,
        linear: bool | None = None,
    ) -> tuple[Self, float]:
        """Fit the excess free energies of samples by least squares.

        Parameters
        ----------
        elements
            The n elements.
        compositions
            Shape (S, n).
        temperatures, excess
            K and eV per site, shape (S,).
        order
            Highest power of (x_i − x_j).
        ternary
            Whether three elements interact, where there are three.
        linear
            Whether parameters depend on T; default: if there are several temperatures.

        Returns
        -------
        solution, rmse
            The fit and its root mean square error (eV per site).

        Raises
        ------
        ValueError
            If there are fewer samples than parameters.
        """
        x, t = np.asarray(compositions, dtype=float), np.asarray(temperatures, dtype=float)
        g = np.asarray(excess, dtype=float)
        chosen = tuple(elements)
        terms: list[Term] = [
            (pair, v) for pair in combinations(chosen, 2) for v in range(order + 1)
        ]
        if ternary:
            terms += [(triple, 0) for triple in combinations(chosen, 3)]
        columns = np.stack([_term(x, chosen, term) for term in terms], axis=1)
        slope = len(np.unique(t)) > 1 if linear is None else linear
        # Centred, so that levels and slopes are not nearly the same columns.
        middle = float(t.mean())
        matrix = np.hstack([columns, columns * (t - middle)[:, None]]) if slope else columns
        if len(g) < matrix.shape[1]:
            msg = (
                f"{matrix.shape[1]} parameters need as many samples, got {len(g)}; lower the order"
            )
            raise ValueError(msg)
        fitted, *_ = np.linalg.lstsq(matrix, g, rcond=None)
        b = fitted[len(terms) :] if slope else np.zeros(len(terms))
        a = fitted[: len(terms)] - middle * b
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        rmse = float(np.sqrt(np.mean((matrix @ fitted - g) ** 2)))
        return cls(chosen, dict(zip(terms, pairs, strict=True))), rmse

    def excess(self, compositions: ArrayLike, temperature: float) -> Floats:
        """Return the excess free energy (eV per site) of compositions (S, n), shape (S,)."""
        x = np.asarray(compositions, dtype=float)
        total = np.zeros(len(x))
        for term, (a, b) in self.parameters.items():
            total += (a + b * temperature) * _term(x, self.elements, term)
        return total

    def mixing(self, compositions: ArrayLike, temperature: float) -> Floats:
        """Return the free energy of mixing (eV per site) of compositions (S, n), shape (S,)."""
        x = np.asarray(compositions, dtype=float)
        ideal: Floats = kB * temperature * xlogy(x, x).sum(axis=1)
        return ideal + self.excess(x, temperature)

    def to_tdb(self, phase: str, fixed: str = "", n_fixed: int = 0) -> str:
        """Return a thermodynamic database that CALPHAD programs read, for example pycalphad.

        Energies are per formula unit (J/mol), relative to the pure ends, which are zero; the phase
        is the only one that it knows.

        Parameters
        ----------
        phase
            Name of the phase: letters, digits and underscores.
        fixed, n_fixed
            Element of the fixed sublattice and its atoms per formula unit, if there is one.
        """
        name, rest = phase.upper(), f":{fixed.upper()}" if fixed else ""
        sites = f"2 1.0 {n_fixed:.1f}" if fixed else "1 1.0"
        ordered = sorted(self.elements)
        lines = ["$ Free energy of mixing per formula unit, relative to the pure ends"]
        lines += [
            f"ELEMENT {e.upper()} {name} 0 0 0 !"
            for e in sorted({*ordered, *filter(None, [fixed])})
        ]
        lines += [f"PHASE {name} % {sites} !"]
        lines += [f"CONSTITUENT {name} :{','.join(e.upper() for e in ordered)}{rest}: !"]
        lines += [f"PARAMETER G({name},{e.upper()}{rest};0) 1 0; 10000 N !" for e in ordered]
        for (members, power), (a, b) in self.parameters.items():
            # Databases sort elements, and a swap of two changes the sign of odd terms.
            swapped = len(members) == 2 and sorted(members) != list(members) and power % 2
            sign = -_J_PER_MOL if swapped else _J_PER_MOL
            names = ",".join(e.upper() for e in sorted(members))
            value = f"{sign * a:+.8f}{sign * b:+.10f}*T"
            lines.append(f"PARAMETER L({name},{names}{rest};{power}) 1 {value}; 10000 N !")
        return "\n".join(lines) + "\n"


def _term(x: Floats, elements: Sequence[str], term: Term) -> Floats:
    """Return the function that a parameter multiplies, of compositions (S, n), shape (S,)."""
    members, power = term
    columns = x[:, [elements.index(e) for e in members]]
    product: Floats = columns.prod(axis=1)
    return product * (columns[:, 0] - columns[:, 1]) ** power if power else product
