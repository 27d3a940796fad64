"""Decompositions of an alloy of any composition: mixtures of the phases that were computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.composition import ideal_entropy
from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.thermodynamics.decomposition import Decomposition, decompositions
from hea_flows.alloy.thermodynamics.hull import as_fractions, convex_hull
from hea_flows.alloy.thermodynamics.mixing import composition_matrix
from hea_flows.alloy.thermodynamics.transition_interval import TransitionInterval, interval_of

Floats = NDArray[np.float64]
#: No alloy decomposes above this (K).
_HOT = 1e5
#: Free energies are equal within this (eV/unit).
_EQUAL = 1e-9


@dataclass(frozen=True)
class PhasePool:
    """Phases that compete at an overall composition, the end members first.

    Set partitions of equal parts are one case of their mixtures. A phase may be in a mixture with
    others that share its elements, so that at equal parts, too, a mixture can be lower than every
    partition.

    Parameters
    ----------
    elements
        The n elements.
    phases
        Elements of each phase; no two have the same.
    fractions
        Compositions of the phases, shape (P, n), rows add up to 1.
    enthalpies
        Of mixing, relative to the end members (eV/unit of the phase), shape (P,).
    overall
        Composition of the alloy, shape (n,). It is one phase where a phase has this composition.
    """

    elements: tuple[str, ...]
    phases: tuple[tuple[str, ...], ...]
    fractions: Floats
    enthalpies: Floats
    overall: Floats

    @classmethod
    def of(
        cls,
        elements: Sequence[str],
        counts: Mapping[tuple[str, ...], Mapping[str, int]],
        enthalpies: Mapping[tuple[str, ...], float],
        overall: Mapping[str, int],
    ) -> PhasePool:
        """Return the end members, and the phases that have an enthalpy.

        Parameters
        ----------
        elements
            The elements.
        counts
            Sites per element of each phase of several elements, by its elements.
        enthalpies
            Their mixing enthalpies (eV/unit).
        overall
            Sites per element of the alloy.

        Raises
        ------
        ValueError
            If an enthalpy is not finite, or a phase has other elements than it is named for.
        """
        for phase, value in enthalpies.items():
            if not isfinite(value) or set(phase) != {e for e, n in counts[phase].items() if n}:
                msg = (
                    f"phase {','.join(phase)} needs a finite enthalpy and these elements, got "
                    f"{value} eV/unit and {dict(counts[phase])}"
                )
                raise ValueError(msg)
        pure = tuple((e,) for e in elements)
        rows = [{e: 1} for e in elements] + [counts[p] for p in enthalpies] + [overall]
        fractions = as_fractions(composition_matrix(rows, elements))
        return cls(
            tuple(elements),
            (*pure, *enthalpies),
            fractions[:-1],
            np.array([*[0.0] * len(pure), *enthalpies.values()]),
            fractions[-1],
        )

    @cached_property
    def entropies(self) -> Floats:
        """Ideal mixing of the infinite phases (eV/K per unit of each), shape (P,)."""
        return np.array([ideal_entropy(row) for row in self.fractions.tolist()])

    @property
    def ends(self) -> Floats:
        """Shares of the sites (P,) of the end members alone."""
        return np.append(self.overall, np.zeros(len(self.phases) - len(self.elements)))

    @cached_property
    def one_phase(self) -> Floats | None:
        """Shares of the sites (P,) of the alloy as one phase; None if no phase is that."""
        same = np.abs(self.fractions - self.overall).max(axis=1) < 1e-12
        return same.astype(float) if same.any() else None

    def lowest(self, temperature: float, enthalpies: Floats | None = None) -> Floats:
        """Return the share of the sites in each phase (P,) in the mixture of lowest free energy.

        Parameters
        ----------
        temperature
            K
        enthalpies
            In place of those of the pool.
        """
        h = self.enthalpies if enthalpies is None else enthalpies
        shares = np.zeros(len(h))
        for phase in convex_hull(self.fractions, h - temperature * self.entropies).decomposition(
            self.overall
        ):
            assert phase.entry is not None  # every end member is one
            shares[phase.entry] = phase.amount
        return shares

    def decomposition(self, shares: ArrayLike) -> Decomposition:
        """Return a mixture, given the share of the sites in each phase (P,)."""
        f = np.asarray(shares, dtype=float)
        place = {e: i for i, e in enumerate(self.elements)}
        used = sorted(np.flatnonzero(f).tolist(), key=lambda i: [place[e] for e in self.phases[i]])
        return Decomposition(
            phases=tuple(self.phases[i] for i in used),
            shares=tuple(float(f[i]) for i in used),
            enthalpy=float(f @ self.enthalpies),
            entropy=float(f @ self.entropies),
        )

    @property
    def depth(self) -> float:
        """How far the hull at T = 0 lies below the end members (eV/unit)."""
        return -float(self.lowest(0.0) @ self.enthalpies)

    def stable_at(
        self, temperatures: Floats, added: Mapping[tuple[str, ...], Floats]
    ) -> list[Decomposition]:
        """Return the mixtures that are stable at some of the temperatures, each once.

        Parameters
        ----------
        temperatures
            K, shape (T,).
        added
            What comes to the free energy of a phase (eV/unit of it), by its elements, shape (T,).
        """
        zero = np.zeros(len(temperatures))
        h = self.enthalpies[:, None] + np.array([added.get(p, zero) for p in self.phases])
        mixtures = [
            self.decomposition(self.lowest(t, h[:, k])) for k, t in enumerate(temperatures.tolist())
        ]
        return list({one.phases: one for one in mixtures}.values())

    def stable(self) -> list[Decomposition]:
        """Return the mixtures that are stable at some temperature, coldest first.

        The free energy of each is a straight line in T, so that the lowest is found between two of
        them where they cross, or nothing lies between (exact, in as many steps as there are
        mixtures).
        """
        low, high = (self.decomposition(self.lowest(t)) for t in (0.0, _HOT))

        def between(cold: Decomposition, hot: Decomposition) -> list[Decomposition]:
            if hot.entropy <= cold.entropy:
                return []
            t = (hot.enthalpy - cold.enthalpy) / (hot.entropy - cold.entropy)
            if t <= 0:
                return []
            middle = self.decomposition(self.lowest(t))
            if middle.gibbs(t) > cold.gibbs(t) - _EQUAL:
                return []
            return [*between(cold, middle), middle, *between(middle, hot)]

        return [low, *between(low, high), *([high] if high.phases != low.phases else [])]

    def interval(
        self, sigma: float, rng: np.random.Generator, n: int, *, level: float = 0.95
    ) -> TransitionInterval:
        """Propagate an error of the enthalpies to the decomposition temperature.

        As `decomposition_temperature_interval`, which is for set partitions of equal parts. The
        difference of the one phase's free energy and the lowest is convex in T; it is followed to
        zero from crossings with mixtures that are known, each of which lies below.

        Parameters
        ----------
        sigma
            Standard deviation of their errors (eV/unit of the phase).
        rng
            Source of the draws.
        n
            Number of draws.
        level
            Probability that the interval holds.

        Raises
        ------
        ValueError
            If the alloy as one phase is not among the phases.
        """
        if self.one_phase is None:
            msg = "no phase has the composition of the alloy, so that it has no temperature"
            raise ValueError(msg)
        mixed = self.fractions.max(axis=1) < 1
        known = [self.lowest(0.0), self.ends]
        temperatures, below = np.zeros(n), np.zeros(n, dtype=np.int64)
        for i in range(n):
            h = self.enthalpies + sigma * mixed * rng.standard_normal(len(mixed))
            while True:
                apart = self.one_phase - np.array(known)
                with np.errstate(divide="ignore", invalid="ignore"):
                    crossings = (apart @ h) / (apart @ self.entropies)
                crossings[apart @ self.entropies <= 0] = -np.inf  # the one phase itself
                below[i] = crossings.argmax()
                temperatures[i] = max(crossings[below[i]], 0.0)
                lowest = self.lowest(temperatures[i], h)
                gap = (self.one_phase - lowest) @ (h - temperatures[i] * self.entropies)
                if gap < _EQUAL:
                    break
                known.append(lowest)
        return interval_of(
            temperatures, below, [self.decomposition(f).name for f in known], level=level
        )


def competing_decompositions(
    alloy: Alloy,
    counts: Mapping[tuple[str, ...], Mapping[str, int]],
    enthalpies: Mapping[tuple[str, ...], float],
) -> list[Decomposition]:
    """Return the decompositions of an alloy that compete, those without an enthalpy left out.

    At equal parts these are all set partitions (`decompositions`), at another composition the
    mixtures of its phases that are stable at some temperature (`PhasePool.stable`).

    Parameters
    ----------
    alloy
        The alloy.
    counts
        Sites per element of each phase, by its elements in the order of the alloy.
    enthalpies
        Mixing enthalpy of each phase that has one (eV/unit of the phase).
    """
    if not alloy.composition:
        return decompositions(alloy.elements, enthalpies, partial=True)
    return PhasePool.of(alloy.elements, counts, enthalpies, counts[alloy.elements]).stable()
