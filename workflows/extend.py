"""A reference engine and a Maker from outside the package; docs/extending.md explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from jobflow import Maker, job

from hea_flows.alloy.lattice import Ordering
from hea_flows.reference import Outcome, ReferenceMaker, evaluate
from hea_flows.schemas import LabelDoc


@dataclass
class EMTMaker(ReferenceMaker):
    """A reference engine: ASE's effective medium theory."""

    name: str = "emt"
    fmax: float = 0.01

    def rule(self) -> dict[str, Any]:
        """Return what makes labels comparable."""
        return {"code": "emt"}

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        """Label one structure."""
        atoms.calc = EMT()
        return evaluate(atoms, self.calculation, fmax=self.fmax)


@dataclass
class VolumesMaker(Maker):
    """A job of our own: the relaxed volume (Å³ per atom) of every label, by structure id."""

    name: str = "volumes"

    @job
    def make(self, labels: list[LabelDoc]) -> dict[str, float]:
        """Take the labels of a set."""
        paths = {d.structure.structure_id: d.trajectory for d in labels if d.trajectory}
        return {k: float(np.linalg.det(p.cells[-1])) / len(p.symbols) for k, p in paths.items()}


def main(expression: str = "1(1)+2(2)") -> None:
    """Label Cu-Au on the fcc lattice; print energies and volumes."""
    from jobflow import Flow, JobStore, run_locally
    from maggma.stores import MemoryStore

    from hea_flows import register_reference_engine
    from hea_flows.config import LabelSpec
    from hea_flows.flows.labelling import LabellingMaker
    from hea_flows.results.store import documents
    from hea_flows.schemas import AlloySpec

    # In this process only; workers find an engine by its entry point.
    register_reference_engine("emt", EMTMaker)
    spec = LabelSpec(engine="emt", options={"fmax": 0.005})
    alloy = AlloySpec(elements=("Cu", "Au"), prototype="fcc")
    labelling = LabellingMaker.from_spec(spec, seed=0).make(expression, alloy)
    volumes = VolumesMaker().make(labelling.output["labels"])
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(Flow([labelling, volumes]), store=store, ensure_success=True, log=False)

    per_atom = store.get_output(volumes.uuid)
    for label in documents(store, "label"):
        key, name = label.structure.structure_id, label.structure.formula
        print(f"{name} {key} {label.state}: {label.energy:.6f} eV, {per_atom[key]:.4f} Å³/atom")


if __name__ == "__main__":
    import typer

    typer.run(main)
