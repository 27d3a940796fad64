"""Binary phase diagrams as one thermodynamic database."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hea_flows.alloy.phases import RedlichKister
from hea_flows.schemas import PhaseDiagramDoc


def joined_solution(docs: Sequence[PhaseDiagramDoc]) -> RedlichKister:
    """Return the solution of several elements that follows from its binaries.

    Without terms of three elements: what they add is not known.

    Parameters
    ----------
    docs
        Of one model and mode; of a binary that is given twice the last counts.

    Raises
    ------
    ValueError
        If there is none, or they are of different models, modes or hosts.
    """
    if not docs:
        msg = "no phase diagrams; give the campaign a section phase_diagram"
        raise ValueError(msg)
    kinds = {(d.model.title, d.mode, d.alloy.to_alloy().host.name) for d in docs}
    if len(kinds) > 1:
        found = "; ".join(sorted(", ".join(kind) for kind in kinds))
        msg = f"phase diagrams of different models, modes or hosts make no database: {found}"
        raise ValueError(msg)
    elements = tuple(dict.fromkeys(e for d in docs for e in d.pair))
    by_pair = {frozenset(d.pair): d.solution.parameters for d in docs}
    return RedlichKister(elements, {k: v for terms in by_pair.values() for k, v in terms.items()})


def thermodynamic_database(docs: Sequence[PhaseDiagramDoc]) -> str:
    """Return the TDB of the solution of `joined_solution`, with what it was made of as comments.

    Raises
    ------
    ValueError
        As `joined_solution`, and for a host with several fixed elements.
    """
    solution, doc = joined_solution(docs), docs[-1]
    host = doc.alloy.to_alloy()
    temperatures = [p.temperature for d in docs for p in d.points]
    about = f"{host.host.name}, {doc.mode} energies of {doc.model.title}"
    comments = [
        f"{about}, {min(temperatures):g} to {max(temperatures):g} K",
        "No terms of three elements. No other phases, no compounds.",
        *(
            f"{'-'.join(d.pair)}: document {d.uuid}, error of the fit {d.fit_rmse_mev:.2f} meV/unit"
            for d in docs
        ),
    ]
    if len(host.fixed_elements) > 1:
        msg = (
            f"the database has one fixed sublattice, and {host.host.name} has "
            f"{', '.join(host.fixed_elements)}"
        )
        raise ValueError(msg)
    fixed = "".join(host.fixed_elements)
    phase = re.sub("[^A-Z0-9]+", "_", f"PHASE {host.host.name.upper()}")
    database = solution.to_tdb(phase, fixed, round(host.atoms_per_unit) - 1)
    return "".join(f"$ {comment}\n" for comment in comments) + database
