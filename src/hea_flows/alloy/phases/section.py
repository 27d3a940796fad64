"""A binary in one cell at one temperature: free energy, phases and their errors, from chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.units import kB
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from hea_flows.alloy.phases.coexistence import (
    Coexistence,
    binder_cumulant,
    coexistences,
    spinodal,
    zero_crossing,
)
from hea_flows.alloy.phases.composition import CompositionFreeEnergy, composition_free_energy
from hea_flows.alloy.sampling import autocorrelation_time
from hea_flows.inputs import Computed

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Binder cumulant of an n × n cell of a layer at its critical point: that of the Ising model on the
#: triangular lattice (G. Kamieniarz and H. W. J. Blöte, J. Phys. A 26, 201 (1993)).
CRITICAL_CUMULANT = 0.6118
#: Draws that errors are the spread of.
DRAWS = 40


@dataclass(frozen=True)
class CompositionChain:
    """What a chain of variable composition went through.

    Parameters
    ----------
    numbers
        Sites of the second element, one value per step, shape (S,).
    log_weight
        Logarithm of its weight beside exp(−βE) with N = 0, …, n sites, shape (n + 1,).
    """

    numbers: Integers
    log_weight: Floats


class Gap(BaseModel, extra="forbid", ser_json_inf_nan="constants"):
    """Two phases that coexist, the poorer in the second element first."""

    low: Computed = Field(description="Share of the second element in the one phase.")
    low_error: Computed = Field(description="Standard error.")
    high: Computed = Field(description="Share of the second element in the other.")
    high_error: Computed
    potential: Computed = Field(description="Δμ of the second element (eV).")
    potential_error: Computed
    barrier: Computed = Field(description="Free energy between them (k_B T per cell).")


class SectionPoint(BaseModel, extra="forbid", ser_json_inf_nan="constants"):
    """A binary at one temperature, in one cell."""

    temperature: Computed = Field(description="K")
    excess_mev: list[Computed] = Field(
        description="Free energy of mixing beyond the ideal one of the same cell (meV/unit), by "
        "sites of the second element; NaN where no chain was."
    )
    excess_error_mev: list[Computed] = Field(description="Standard errors.")
    gaps: list[Gap] = Field(description="Pairs of phases that coexist.")
    gap_share: Computed = Field(
        description="Share of resampled chains with as many gaps: near 1 where they are certain."
    )
    spinodals: list[tuple[float, float]] = Field(
        description="Where the free energy is concave, in shares of the second element."
    )
    cumulant: Computed = Field(description="Binder cumulant of the composition.")
    cumulant_error: Computed
    effective_samples: Computed = Field(description="Of the composition, all chains together.")


def section_point(
    temperature: float, chains: Sequence[CompositionChain], rng: np.random.Generator
) -> SectionPoint:
    """Combine the chains of one temperature.

    Errors are the spread of `DRAWS` analyses of chains that are resampled in blocks as long as
    their correlation.

    Parameters
    ----------
    temperature
        K
    chains
        All chains of this temperature.
    rng
        Draws the blocks.

    Raises
    ------
    ValueError
        If the chains fall apart into groups that share no composition.
    """
    beta = 1.0 / (kB * temperature)
    found = [autocorrelation_time(c.numbers.astype(float)) for c in chains]
    times = [max(t, 1.0) if np.isfinite(t) else 1.0 for t in found]
    weights = [c.log_weight for c in chains]

    def combined(numbers: Sequence[Integers]) -> CompositionFreeEnergy:
        return composition_free_energy(beta, numbers, weights, times)

    free = combined([c.numbers for c in chains])
    drawn = []
    for _ in range(DRAWS):
        again = [_blocks(c.numbers, t, rng) for c, t in zip(chains, times, strict=True)]
        try:
            drawn.append(combined(again))
        except ValueError:  # by chance no composition is shared; it would spread more, not less
            continue
    gaps = coexistences(free)
    alike = [g for one in drawn if len(g := coexistences(one)) == len(gaps)]
    excess = np.array([one.excess for one in drawn]).reshape(-1, len(free.values))
    cumulants = [binder_cumulant(one) for one in drawn]
    return SectionPoint(
        temperature=temperature,
        excess_mev=(1e3 * np.where(np.isfinite(free.excess), free.excess, np.nan)).tolist(),
        excess_error_mev=[1e3 * _spread(column) for column in excess.T],
        gaps=[_gap(gap, [one[i] for one in alike]) for i, gap in enumerate(gaps)],
        gap_share=len(alike) / len(drawn) if drawn else float("nan"),
        spinodals=spinodal(free),
        cumulant=binder_cumulant(free),
        cumulant_error=_spread(cumulants),
        effective_samples=sum(len(c.numbers) / t for c, t in zip(chains, times, strict=True)),
    )


def _blocks(numbers: Integers, time: float, rng: np.random.Generator) -> Integers:
    """Return a chain of the same length of blocks that are drawn from it."""
    length = min(len(numbers), int(np.ceil(2 * time)))
    starts = rng.integers(0, len(numbers) - length + 1, size=-(-len(numbers) // length))
    drawn: Integers = (starts[:, None] + np.arange(length)).ravel()
    return numbers[drawn[: len(numbers)]]


def _gap(gap: Coexistence, drawn: Sequence[Coexistence]) -> Gap:
    return Gap(
        low=gap.low,
        low_error=_spread([one.low for one in drawn]),
        high=gap.high,
        high_error=_spread([one.high for one in drawn]),
        potential=gap.potential,
        potential_error=_spread([one.potential for one in drawn]),
        barrier=gap.barrier,
    )


def _spread(values: Sequence[float] | Floats) -> float:
    """Return the standard deviation of finite values; NaN of fewer than two."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    return float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")


class CriticalPoint(BaseModel, extra="forbid", ser_json_inf_nan="constants"):
    """Where two phases of a binary become one."""

    temperature: Computed = Field(description="K")
    error: Computed = Field(description="Standard error from sampling (K).")
    method: str = Field(description="How it was found.")


def critical_point(cells: Sequence[Sequence[SectionPoint]], *, layer: bool) -> CriticalPoint | None:
    """Return the critical temperature from Binder cumulants.

    Parameters
    ----------
    cells
        Points of each cell, smaller cells first.
    layer
        Whether the host is a layer. There one cell is enough: the cumulant at the critical point is
        that of the Ising model.

    Returns
    -------
    point
        None if the cumulants do not cross in the range of temperatures, or one cell of a bulk host
        is all there is.
    """
    known = [{p.temperature: p for p in cell} for cell in cells[-2:]]
    temperatures = sorted(set.intersection(*map(set, known)))
    cumulants = np.array([[cell[t].cumulant for t in temperatures] for cell in known])
    errors = np.array([[cell[t].cumulant_error for t in temperatures] for cell in known])
    if len(cells) > 1:
        gap, method = cumulants[1] - cumulants[0], "Binder cumulants of the two largest cells cross"
        error = np.hypot(*errors)
    elif layer:
        gap, method = cumulants[0] - CRITICAL_CUMULANT, "Binder cumulant of the Ising model"
        error = errors[0]
    else:
        return None
    found = zero_crossing(temperatures, gap.tolist(), error.tolist())
    return found and CriticalPoint(temperature=found[0], error=found[1], method=method)
