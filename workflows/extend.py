"""A reference engine and a Maker from outside the package; docs/extending.md explains them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.calculators.emt import EMT
from jobflow import Maker, job

from hea_flows.alloy.lattice import relax
from hea_flows.reference.base import LABEL_DATA, Labelled, label_document
from hea_flows.schemas import LabelDoc


@dataclass
class EMTMaker(Maker):
    """A reference engine: ASE's effective medium theory."""

    name: str = "emt"
    calculation: str = "relax"
    fmax: float = 0.01

    @job(data=LABEL_DATA, output_schema=LabelDoc)
    def make(self, structure: Any, alloy: Any, source: Any = None, start: Any = None) -> LabelDoc:
        """Label one structure; every step is a frame, a failure becomes a document."""

        def compute() -> Labelled:
            ideal = structure.to_ordering(alloy.to_alloy()).to_atoms()
            atoms = ideal if start is None else start.to_ase_atoms(msonable=False)
            atoms.calc = EMT()
            steps: list[Any] = []
            done = relax(atoms, fmax=self.fmax, on_step=lambda a: steps.append(deepcopy(a)))
            return Labelled(steps, done)

        what = {"structure": structure, "alloy": alloy, "source": source, "rule": {"code": "emt"}}
        return label_document(compute, engine="emt", calculation=self.calculation, **what)


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
    alloy = AlloySpec(elements=("Cu", "Au"), prototype="fcc", anion=None)
    labelling: Any = LabellingMaker.from_spec(spec, seed=0).make(expression, alloy)
    volumes: Any = VolumesMaker().make(labelling.output["labels"])
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(Flow([labelling, volumes]), store=store, ensure_success=True, log=False)

    per_atom = store.get_output(volumes.uuid)
    labels: list[Any] = documents(store, "label")
    for label in labels:
        key, name = label.structure.structure_id, label.structure.formula
        print(f"{name} {key} {label.state}: {label.energy:.6f} eV, {per_atom[key]:.4f} Å³/atom")


# Types of an engine: hea_flows.reference.base.ReferenceEngine; here they are left open.
# ruff: noqa: ANN401

if __name__ == "__main__":
    import typer

    typer.run(main)
