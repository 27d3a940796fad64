"""Structures: from a set expression to orderings."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Maker, job

from hea_flows.alloy.sets import parse
from hea_flows.provenance import provenance
from hea_flows.schemas import AlloySpec, Document, StructureEntry, StructuresDoc


@dataclass
class StructuresMaker(Maker):
    """Build the orderings of a set.

    Parameters
    ----------
    name
        Job name.
    seed
        Seed of the random terms of the expression.
    """

    name: str = "structures"
    seed: int = 0

    @job(output_schema=StructuresDoc)
    def make(
        self, expression: str, alloy: AlloySpec, source: Document | None = None
    ) -> StructuresDoc:
        """Build the set ``expression``, for example ``2(2)+3(3)``, of an alloy."""
        orderings = parse(expression).build(alloy.to_alloy(), self.seed, most=None)
        entries = [StructureEntry.from_ordering(o, origin=expression) for o in orderings]
        return StructuresDoc(
            **provenance(campaign=source),
            alloy=alloy,
            expression=expression,
            seed=self.seed,
            n_structures=len(entries),
            structures=entries,
        )
