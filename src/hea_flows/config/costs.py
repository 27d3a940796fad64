"""What the sets and cells of a campaign cost, compared with the limits of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import prod

from hea_flows.alloy import asked_and_held, is_rounded
from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets import SetCost, parse, supercell_matrix
from hea_flows.config.phase_diagram import PhaseDiagramSpec
from hea_flows.config.sections import MonteCarloSpec, ThermodynamicsSpec
from hea_flows.inputs import refuse_above, shown
from hea_flows.settings import get_settings


def affordable() -> SetCost:
    """Return what a set may cost by the settings of this machine."""
    settings = get_settings()
    return SetCost(settings.max_structures, settings.max_set_seconds)


def check_sets(expressions: Iterable[str], alloy: Alloy) -> None:
    """Make sure that sets can be built, before any of them is.

    Raises
    ------
    LimitError
        If a set has more structures than the setting ``max_structures``, or all together take
        longer to build than ``max_set_seconds``.
    ValueError
        If an expression cannot be read, or a set cannot be built for the alloy.
    """
    most = affordable()
    costs = (parse(expression).check(alloy, most) for expression in dict.fromkeys(expressions))
    seconds = sum(cost.seconds for cost in costs)
    what = "the sets take about {} s to build, together"
    refuse_above(seconds, most.seconds, what, "max_set_seconds")


def check_cells(
    alloy: Alloy,
    monte_carlo: MonteCarloSpec | None,
    thermodynamics: ThermodynamicsSpec | None,
    phase_diagram: PhaseDiagramSpec | None,
) -> None:
    """Make sure that supercells have no more sites than the setting ``max_sites``.

    Raises
    ------
    LimitError
        If one has.
    """
    cells: dict[str, str] = {}
    if phase_diagram is not None:
        cells |= {f"phase_diagram.supercells, {c[:30]}": c for c in phase_diagram.supercells}
    if monte_carlo is not None:
        cells["monte_carlo.supercell"] = monte_carlo.supercell
    if thermodynamics is not None:
        cells["thermodynamics.random_supercell"] = thermodynamics.random_supercell
    for key, cell in cells.items():
        sites = prod(int(n) for n in re.findall("[0-9]+", cell)) * alloy.host.sites_per_cell
        what = f"{key}: {shown(cell)} has {{}} alloyed sites"
        refuse_above(sites, get_settings().max_sites, what, "max_sites")


def rounded_compositions(
    alloy: Alloy,
    expressions: Iterable[str],
    monte_carlo: MonteCarloSpec | None,
    thermodynamics: ThermodynamicsSpec | None,
) -> list[tuple[str, str]]:
    """Return the compositions that cells do not hold exactly: the part, asked for and held.

    Of each set one is named, and how many others there are.
    """
    texts = [("sets", text) for one in expressions for text in _first(parse(one).cost(alloy))]
    cells = []
    if monte_carlo is not None:
        cells.append(("monte_carlo", monte_carlo.of(alloy), monte_carlo.supercell))
    if thermodynamics is not None:
        sqs = parse(thermodynamics.sqs_set(len(alloy.elements))).cost(alloy)
        texts += [("thermodynamics", f"SQS: {text}") for text in _first(sqs)]
        cells.append(("thermodynamics", alloy, thermodynamics.random_supercell))
    for part, own, cell in cells:
        shares, counts = own.shares(), own.counts(own.n_sites(supercell_matrix(own, cell)))
        if is_rounded(shares, counts):
            texts.append((part, f"{cell}: {asked_and_held(shares, counts)}"))
    return texts


def _first(cost: SetCost) -> list[str]:
    """Return the first composition that a set rounds, with the number of others."""
    first, others = cost.rounded[:1], len(cost.rounded) - 1
    return [f"{text} (and {others} more)" if others else text for text in first]
