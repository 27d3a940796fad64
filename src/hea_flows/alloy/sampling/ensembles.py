"""What a chain may change, and its weight beside exp(−βE): fixed or variable composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Alloy

if TYPE_CHECKING:
    from hea_flows.alloy.clusters import Tables

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class Ensemble(Protocol):
    """An ensemble of decorations; chains are at its points, at each temperature."""

    @property
    def n_points(self) -> int:
        """Points of the ensemble at one temperature; neighbours may exchange decorations."""
        ...

    def check(self, n_sites: int) -> None:
        """Raise `ValueError` if it is no ensemble of a cell with this number of sites."""
        ...

    def draw(self, n_sites: int, rng: np.random.Generator) -> Codes:
        """Return a random decoration to start from, or to fit an expansion to, (n_sites,)."""
        ...

    def propose(
        self,
        tables: Tables,
        codes: Codes,
        trials: int,
        beta: float,
        point: int,
        rng: np.random.Generator,
    ) -> float:
        """Make trials with an expansion on `codes`, which changes; return the change (eV per cell).

        They are reversible for exp(−βE) of the expansion times the weight of the ensemble, so that
        the weight is not part of the model's decision.
        """
        ...

    def log_weight(self, codes: Codes, beta: float, point: int) -> float:
        """Return the logarithm of a decoration's weight beside exp(−βE)."""
        ...


class Canonical:
    """Fixed composition: unlike sites swap.

    Parameters
    ----------
    alloy
        The host.
    counts
        Sites per element; two elements or more.

    Raises
    ------
    ValueError
        If `counts` name an element that the alloy does not have, are negative, or leave nothing to
        swap.
    """

    n_points = 1

    def __init__(self, alloy: Alloy, counts: Mapping[str, int]) -> None:
        if unknown := sorted(set(counts) - set(alloy.elements)):
            msg = f"species {unknown} are not of the alloy {list(alloy.elements)}"
            raise ValueError(msg)
        numbers = [counts.get(e, 0) for e in alloy.elements]
        if min(numbers) < 0:
            msg = f"counts are numbers of sites, got {dict(counts)}"
            raise ValueError(msg)
        if sum(n > 0 for n in numbers) < 2:
            msg = f"nothing to swap: all sites hold one element, got {dict(counts)}"
            raise ValueError(msg)
        self.counts = dict(counts)
        #: Species codes of the composition, element by element, shape (n_sites,).
        self.filling = np.repeat(np.arange(len(numbers), dtype=np.int64), numbers)

    def check(self, n_sites: int) -> None:
        """Raise `ValueError` if the counts do not fill the cell."""
        if (filled := len(self.filling)) != n_sites:
            msg = f"the supercell has {n_sites} sites, counts {self.counts} fill {filled}"
            raise ValueError(msg)

    def draw(self, n_sites: int, rng: np.random.Generator) -> Codes:  # noqa: ARG002  checked
        """Return a random decoration of the composition, (n_sites,)."""
        return rng.permutation(self.filling)

    def propose(
        self,
        tables: Tables,
        codes: Codes,
        trials: int,
        beta: float,
        point: int,  # noqa: ARG002  there is one
        rng: np.random.Generator,
    ) -> float:
        """Swap unlike sites."""
        return tables.run(codes, trials, beta, rng)[0]

    def log_weight(self, codes: Codes, beta: float, point: int) -> float:  # noqa: ARG002
        """Return 0."""
        return 0.0


class VariableComposition:
    """Variable composition in a cell of fixed size: sites change their element.

    The weight of a decoration with N_A of N sites of element A is
    exp(Σ_A [(β Δμ_A + s_A) N_A − c_A N_A²/N]).

    Parameters
    ----------
    potentials
        Δμ (eV) of each element in the alloy's order at each point, shape (points, n).
    slopes, curvatures
        s and c, of the same shape; default 0.
    """

    def __init__(
        self, potentials: Floats, slopes: Floats | None = None, curvatures: Floats | None = None
    ) -> None:
        zero = np.zeros_like(potentials)
        self.potentials = potentials
        self.slopes = zero if slopes is None else slopes
        self.curvatures = zero if curvatures is None else curvatures

    @classmethod
    def semi_grand(cls, alloy: Alloy, potentials: Sequence[Mapping[str, float]]) -> Self:
        """Return the semi-grand canonical ensemble, weight exp(β Σ_A Δμ_A N_A).

        Parameters
        ----------
        alloy
            The host.
        potentials
            Δμ of each element (eV) at each point; elements that are left out have 0.

        Raises
        ------
        ValueError
            If there is no point, or an element is not of the alloy.
        """
        return cls(_by_element(alloy, potentials, "chemical potentials"))

    @classmethod
    def variance_constrained(
        cls,
        alloy: Alloy,
        kappa: float,
        phi: Sequence[Mapping[str, float]],
        potentials: Sequence[Mapping[str, float]] | None = None,
    ) -> Self:
        """Return the variance-constrained semi-grand canonical ensemble.

        Its weight exp(−κ N Σ_A (x_A + φ_A/2)²) holds a composition inside a miscibility gap,
        where the semi-grand ensemble jumps (B. Sadigh and P. Erhart, Phys. Rev. B 86, 134204
        (2012)). With potentials, exp(β Σ_A Δμ_A N_A) is a factor of it.

        Parameters
        ----------
        alloy
            The host.
        kappa
            κ, without a unit; larger values hold the composition more tightly.
        phi
            φ of elements at each point, all but one of the alloy's; an element that is left out
            at every point is not constrained.
        potentials
            Δμ of elements (eV) at each point; default 0.

        Raises
        ------
        ValueError
            If κ is not positive, there is no point, an element is not of the alloy, or potentials
            and φ are of different numbers of points.
        """
        if not kappa > 0:
            msg = f"kappa is a positive number, got {kappa}"
            raise ValueError(msg)
        table = _by_element(alloy, phi, "phi")
        held = np.array([any(e in point for point in phi) for e in alloy.elements], dtype=float)
        linear = np.zeros_like(table)
        if potentials is not None:
            linear = _by_element(alloy, potentials, "chemical potentials")
        if linear.shape != table.shape:
            msg = f"{len(linear)} points have chemical potentials and {len(table)} have phi"
            raise ValueError(msg)
        return cls(linear, -kappa * table, kappa * np.ones_like(table) * held)

    @property
    def n_points(self) -> int:
        """Points at one temperature."""
        return len(self.potentials)

    def check(self, n_sites: int) -> None:
        """Accept every cell."""

    def draw(self, n_sites: int, rng: np.random.Generator) -> Codes:
        """Return a random decoration of a random composition, (n_sites,)."""
        n = self.potentials.shape[1]
        return rng.choice(n, size=n_sites, p=rng.dirichlet(np.ones(n)))

    def propose(
        self,
        tables: Tables,
        codes: Codes,
        trials: int,
        beta: float,
        point: int,
        rng: np.random.Generator,
    ) -> float:
        """Give single sites another element."""
        linear = beta * self.potentials[point] + self.slopes[point]
        change, _ = tables.transmute(codes, trials, beta, linear, self.curvatures[point], rng)
        return change

    def log_weight(self, codes: Codes, beta: float, point: int) -> float:
        """Return Σ_A [(β Δμ_A + s_A) N_A − c_A N_A²/N]."""
        numbers = np.bincount(codes, minlength=self.potentials.shape[1])
        linear = beta * self.potentials[point] + self.slopes[point]
        return float(linear @ numbers - self.curvatures[point] @ numbers**2 / len(codes))


def _by_element(alloy: Alloy, points: Sequence[Mapping[str, float]], what: str) -> Floats:
    """Return the values of points as a table (points, n) in the order of the alloy's elements."""
    if not points:
        msg = f"{what}: at least one point is needed"
        raise ValueError(msg)
    if unknown := sorted({e for point in points for e in point} - set(alloy.elements)):
        msg = f"{what}: {unknown} are not of the alloy {list(alloy.elements)}"
        raise ValueError(msg)
    return np.array([[point.get(e, 0.0) for e in alloy.elements] for point in points], dtype=float)
