"""Free energy against composition, from chains at several chemical potentials or constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import gammaln, logsumexp

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Iterations of the histogram equations, and when they have converged (samples).
_MOST_ITERATIONS, _TOLERANCE = 2000, 1e-7


@dataclass(frozen=True)
class CompositionFreeEnergy:
    """Free energy of a binary cell against the number of sites of its second element.

    Parameters
    ----------
    beta
        1/(k_B T) in 1/eV.
    values
        −ln Z_N, the free energy of N = 0, …, n sites in k_B T, counting of states included, shape
        (n + 1,); infinite where no chain was. It has an arbitrary constant.
    """

    beta: float
    values: Floats

    @property
    def n_sites(self) -> int:
        """Alloyed sites of the cell."""
        return len(self.values) - 1

    @property
    def excess(self) -> Floats:
        """Free energy without ideal mixing of the same cell (eV per site), shape (n + 1,).

        ln(n!/(N!(n−N)!)) is taken away, which is exact where decorations do not interact; what is
        left is finite up to the pure ends. It is zero at the ends that were visited, else at the
        outermost compositions that were.
        """
        n, number = self.n_sites, np.arange(self.n_sites + 1)
        states = gammaln(n + 1) - gammaln(number + 1) - gammaln(n - number + 1)
        free = self.values + states
        first, last = np.flatnonzero(np.isfinite(free))[[0, -1]]
        line = (
            np.interp(number, [first, last], free[[first, last]]) if last > first else free[first]
        )
        excess: Floats = (free - line) / (self.beta * n)
        return excess

    def weights(self, potential: ArrayLike) -> Floats:
        """Return the share of each N at Δμ (eV) of the second element, shape (..., n + 1)."""
        slopes = self.beta * np.asarray(potential, dtype=float)[..., None]
        exponent = slopes * np.arange(self.n_sites + 1) - self.values
        shares: Floats = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return shares


def composition_free_energy(
    beta: float,
    numbers: Sequence[Integers],
    log_weights: Sequence[ArrayLike],
    inefficiencies: Sequence[float] | None = None,
) -> CompositionFreeEnergy:
    """Combine the histograms of chains at one temperature (multiple-histogram reweighting).

    The chains have the weights Z_N exp(w_k(N)) with known w_k, so that
    Z_N = Σ_k h_k(N)/g_k / Σ_k M_k/g_k exp(f_k + w_k(N)) with exp(−f_k) = Σ_N Z_N exp(w_k(N)), for
    histograms h_k of M_k samples (A. M. Ferrenberg and R. H. Swendsen, Phys. Rev. Lett. 63, 1195
    (1989)).

    Parameters
    ----------
    beta
        1/(k_B T) in 1/eV.
    numbers
        Sites of the second element in each sample of each chain, shapes (M_k,).
    log_weights
        w_k at N = 0, …, n, shape (n + 1,) each; βΔμN for the semi-grand canonical ensemble.
    inefficiencies
        Samples g_k per independent sample of each chain; default 1.

    Raises
    ------
    ValueError
        If there is no chain, shapes differ, or the histograms fall apart into groups that share no
        composition.
    """
    w = np.array([np.asarray(x, dtype=float) for x in log_weights])
    if not len(numbers) or w.ndim != 2 or len(w) != len(numbers):
        msg = f"each chain needs its weights, got {len(numbers)} chains and weights {w.shape}"
        raise ValueError(msg)
    g = np.ones(len(w)) if inefficiencies is None else np.asarray(inefficiencies, dtype=float)
    size = w.shape[1]
    histograms = np.array([np.bincount(x, minlength=size) for x in numbers], dtype=float)
    if histograms.shape != w.shape:
        msg = f"a chain has more sites of an element than the cell's {size - 1}"
        raise ValueError(msg)
    _check_overlap(histograms)
    seen = histograms.sum(axis=0) > 0
    total = (histograms[:, seen] / g[:, None]).sum(axis=0)
    samples = histograms.sum(axis=1) / g
    values = np.full(size, np.inf)
    values[seen] = _solved(total, samples, w[:, seen])
    return CompositionFreeEnergy(beta, values)


def _solved(total: Floats, samples: Floats, w: Floats) -> Floats:
    """Return −ln Z of visited compositions, shape (B,).

    Of the direct iteration and a Newton step, the one that leaves the smaller residual is taken (M.
    R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105 (2008)).

    Parameters
    ----------
    total
        Independent samples of each composition, shape (B,).
    samples
        Independent samples of each chain, shape (K,).
    w
        Log weights, shape (K, B).
    """
    log_samples = np.log(samples)

    def shares(f: Floats) -> tuple[Floats, Floats]:
        """Return the chains' shares in each composition, (K, B), and what is left of samples."""
        exponent = (log_samples + f)[:, None] + w
        p = np.exp(exponent - logsumexp(exponent, axis=0))
        return p, samples - p @ total

    f = np.zeros(len(w))
    p, left = shares(f)
    for _ in range(_MOST_ITERATIONS):
        if np.abs(left).max() < _TOLERANCE:
            break
        log_z = np.log(total) - logsumexp((log_samples + f)[:, None] + w, axis=0)
        steps = [-logsumexp(log_z + w, axis=1)]
        curvature = (np.diag(p @ total) - (p * total) @ p.T)[1:, 1:]  # f₀ is free
        steps.append(f + np.concatenate([[0.0], np.linalg.lstsq(curvature, left[1:])[0]]))
        tried = [(step - step[0], *shares(step)) for step in steps]
        f, p, left = min(tried, key=lambda one: float(np.abs(one[2]).sum()))
    free: Floats = logsumexp((log_samples + f)[:, None] + w, axis=0) - np.log(total)
    return free


def _check_overlap(histograms: Floats) -> None:
    """Make sure that every histogram is linked to every other one through shared compositions."""
    seen = histograms > 0
    links = csr_array((seen.astype(int) @ seen.T.astype(int)) > 0)
    groups, group = connected_components(links, directed=False)
    if groups > 1:
        spans = [np.flatnonzero(s)[[0, -1]] for s in seen[group != group[0]]]
        apart = ", ".join(f"{a}–{b}" for a, b in spans)
        msg = (
            f"chains at sites {apart} share no composition with the others; more points between "
            "them, or longer chains, are needed"
        )
        raise ValueError(msg)
