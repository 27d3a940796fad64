"""A reference engine and a Maker from outside the package; docs/extending.md explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import Flow, JobStore, Maker, job, run_locally
from maggma.stores import MemoryStore

from hea_flows import register_reference_engine
from hea_flows.alloy.mixing import mixing_energies
from hea_flows.alloy.relaxation import relax
from hea_flows.config import LabelSpec
from hea_flows.engines.labels import label_document
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.schemas import AlloySpec, LabelDoc


# [begin] all that is added
@dataclass
class EMTMaker(Maker):
    """A reference engine: ASE's effective medium theory."""

    name: str = "emt"
    calculation: str = "relax"
    fmax: float = 0.01

    @job(data=["trajectory"], output_schema=LabelDoc)
    def make(self, structure: Any, alloy: Any, source: Any = None, start: Any = None) -> LabelDoc:
        """Label one structure; a failure becomes a document, not an error."""

        def compute() -> tuple[list[Any], bool]:
            frames: list[Any] = []

            def keep(now: Any) -> None:
                frames.append(now.copy())
                frames[-1].calc = SinglePointCalculator(frames[-1], **now.calc.results)

            ideal = structure.to_ordering(alloy.to_alloy()).to_atoms()
            atoms = ideal if start is None else start.to_ase_atoms(msonable=False)
            atoms.calc = EMT()
            return frames, relax(atoms, fmax=self.fmax, on_step=keep)

        what = {"structure": structure, "calculation": self.calculation, "source": source}
        return label_document(compute, engine="emt", rule={"code": "ase.emt"}, **what)


@dataclass
class MixingTableMaker(Maker):
    """A job of our own: the mixing energy (meV/unit) of every label, by structure id."""

    name: str = "mixing table"

    @job
    def make(self, labels: list[LabelDoc]) -> dict[str, float]:
        """Take the labels of a set that holds the end points."""
        counts = [d.structure.counts for d in labels]
        energies = [d.energy or 0.0 for d in labels]
        pure = {next(iter(c)): e for c, e in zip(counts, energies, strict=True) if len(c) == 1}
        values = 1e3 * mixing_energies(energies, counts, pure)
        return {d.structure.structure_id: float(v) for d, v in zip(labels, values, strict=True)}


# [end]


def main(expression: str = "1(1)+2(2)") -> None:
    """Label Cu-Au on the fcc lattice and print its mixing energies."""
    # In this process only; workers find an engine by its entry point.
    register_reference_engine("emt", EMTMaker)
    alloy = AlloySpec(elements=("Cu", "Au"), prototype="fcc", anion=None)
    labelling: Any = LabellingMaker.from_spec(LabelSpec(engine="emt"), seed=0).make(
        expression, alloy
    )
    table: Any = MixingTableMaker().make(labelling.output["labels"])
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    responses = run_locally(
        Flow([labelling, table]), store=store, ensure_success=True, log=False
    )
    for structure, value in responses[table.uuid][1].output.items():
        print(f"{structure}: {value:.3f} meV/unit")


if __name__ == "__main__":
    typer.run(main)
