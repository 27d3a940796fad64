"""The phases in equilibrium at one composition, by the binary phase diagrams of a campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from math import isclose

import numpy as np

from hea_flows.alloy.phases import RedlichKister, equilibrium, single_phase_above
from hea_flows.alloy.sampling import HOTTEST
from hea_flows.inputs import shown
from hea_flows.results.report.table import Table, number
from hea_flows.schemas import PhaseDiagramDoc

#: Divisions of the simplex's edges by number of elements.
_DIVISIONS = {2: 200, 3: 40, 4: 20}


def parse_composition(text: str) -> dict[str, float]:
    """Return the shares of ``Mo=0.4,W=0.6``.

    Raises
    ------
    ValueError
        If it cannot be read, or shares do not add up to 1.
    """
    try:
        pairs = [part.split("=") for part in text.split(",")]
        shares = {element.strip(): float(share) for element, share in pairs}
    except ValueError:
        shares = {}
    whole = isclose(sum(shares.values()), 1.0, abs_tol=1e-3)
    if not shares or len(shares) < len(pairs) or min(shares.values()) < 0 or not whole:
        msg = (
            f"a composition is like Mo=0.4,W=0.4,V=0.2, shares that add up to 1; got {shown(text)}"
        )
        raise ValueError(msg)
    return {element: share for element, share in shares.items() if share > 0}


def equilibrium_table(
    docs: Sequence[PhaseDiagramDoc],
    solution: RedlichKister,
    shares: Mapping[str, float],
    temperatures: Sequence[float],
) -> Table:
    """Return the phases at each temperature, and above which there is one.

    Parameters
    ----------
    docs
        The binaries.
    solution
        Their common solution.
    shares
        Of two elements or more.
    temperatures
        K; default those of the binaries.

    Raises
    ------
    ValueError
        If a binary of the elements is missing, or a temperature is none.
    """
    known = {frozenset(d.pair) for d in docs}
    if missing := [p for p in combinations(shares, 2) if frozenset(p) not in known]:
        have = ", ".join(sorted("-".join(d.pair) for d in docs))
        msg = f"no phase diagram of {'-'.join(missing[0])}; the campaign has {have}"
        raise ValueError(msg)
    if len(shares) < 2:
        msg = f"one element is one phase; give two or more, got {', '.join(shares)}"
        raise ValueError(msg)
    if odd := [t for t in temperatures if not 0 < t <= HOTTEST]:
        msg = f"temperatures are above 0 K and at most {HOTTEST:g} K, got {odd[0]:g}"
        raise ValueError(msg)
    elements = list(shares)
    columns = [solution.elements.index(e) for e in elements]
    divisions = _DIVISIONS.get(len(elements), 12)

    def mixing(x: np.ndarray, temperature: float) -> np.ndarray:
        full = np.zeros((len(x), len(solution.elements)))
        full[:, columns] = x
        return solution.mixing(full, temperature)

    sampled = sorted({p.temperature for d in docs for p in d.points})
    overall = np.array(list(shares.values())) / sum(shares.values())
    rows = []
    for t in temperatures or sampled:
        mixture = equilibrium(partial(mixing, temperature=t), overall, divisions=divisions)
        order = np.argsort(-mixture.fractions)
        rows += [
            [
                number(t, 0) if not i else "",
                number(mixture.fractions[k], 3),
                *(number(x, 3) for x in mixture.compositions[k]),
            ]
            for i, k in enumerate(order)
        ]
    span = (sampled[0], sampled[-1])
    above = single_phase_above(mixing, overall, *span, divisions=divisions)
    words = "several phases up to the highest temperature of the diagrams"
    if above is not None:
        words = "one phase at all of them" if above <= span[0] else f"one phase above {above:.0f} K"
    doc = docs[-1]
    return Table(
        f"{', '.join(f'{e} {s:g}' for e, s in shares.items())}: {words}. {doc.mode} energies, "
        f"{doc.model.title}; extrapolated from the binaries, phases of "
        f"{doc.alloy.to_alloy().host.name} only.",
        ["T (K)", "share", *elements],
        rows,
        wide=set(),
    )
