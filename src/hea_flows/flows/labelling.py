"""Structures to labels."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobflow import Flow, Maker, OutputReference

from hea_flows.config import LabelSpec
from hea_flows.jobs.labelling import LabelsMaker, StructuresMaker, fan_out
from hea_flows.jobs.routing import CPU, route
from hea_flows.schemas import AlloySpec, Document, StructuresDoc


@dataclass
class LabellingMaker(Maker):
    """Build a set of structures and label each of them.

    Parameters
    ----------
    name
        Flow name.
    structures
        Builds the set.
    labels
        Labels it.
    """

    name: str = "labelling"
    structures: StructuresMaker = field(default_factory=StructuresMaker)
    labels: LabelsMaker = field(default_factory=LabelsMaker)

    @classmethod
    def from_spec(cls, labels: LabelSpec, seed: int, *, reuse: bool = True) -> LabellingMaker:
        """Return the Maker of one set of a campaign file."""
        return cls(
            structures=StructuresMaker(seed=seed),
            labels=LabelsMaker(labels=labels, seed=seed, reuse=reuse),
        )

    def make(
        self,
        expression: str,
        alloy: AlloySpec,
        source: Document | OutputReference | None = None,
        priority: int = 0,
        earlier: list[StructuresDoc] | list[OutputReference] | None = None,
    ) -> Flow:
        """Return the flow; its output holds the structures document and the list of labels.

        Parameters
        ----------
        expression, alloy, source
            The set, its host, and the campaign file it comes from.
        priority
            FireWorks takes the jobs of the highest first.
        earlier
            Sets labelled in the same way before; what they hold is not labelled again, and not in
            this flow's list of labels.
        """
        structures = self.structures.make(expression, alloy, source)
        structures.append_name(f" {expression}", dynamic=False)
        route(structures, CPU, _priority=priority)
        labels = self.labels.make(structures.output, earlier or None)
        labels.append_name(f" {expression}", dynamic=False)
        fan_out(labels, _priority=priority)
        return Flow(
            [structures, labels],
            output={"structures": structures.output, "labels": labels.output},
            name=f"{self.name} {expression}",
        )
