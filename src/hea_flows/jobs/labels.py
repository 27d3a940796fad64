"""Labels: one job of the reference engine per structure, and the start geometry before it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jobflow import Flow, Maker, Response, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.relaxation import relax
from hea_flows.config import LabelSpec, StartSpec
from hea_flows.engines.registry import family, reference_engine
from hea_flows.schemas import AlloySpec, StructureEntry, StructuresDoc
from hea_flows.settings import get_settings


@dataclass
class StartMaker(Maker):
    """Make a start geometry: relax the ideal structure with a potential, then rattle it.

    Parameters
    ----------
    name
        Job name.
    start
        Potential and size of the random shifts.
    seed
        Campaign seed; each structure's shifts also depend on its identity alone.
    """

    name: str = "start geometry"
    start: StartSpec | None = None
    seed: int = 0

    @job
    def make(self, structure: StructureEntry, alloy: AlloySpec) -> Structure:
        """Return the start geometry of one structure."""
        atoms = structure.to_ordering(alloy.to_alloy()).to_atoms()
        if self.start is not None:
            spec = self.start.model
            atoms.calc = family(spec.family).calculator(spec, device=get_settings().device)
            relax(atoms, fmax=0.02, max_steps=200)
            atoms.calc = None
            rng = np.random.default_rng([self.seed, zlib.crc32(structure.structure_id.encode())])
            atoms.positions += rng.normal(scale=self.start.rattle, size=atoms.positions.shape)
        atoms.pbc = True  # pymatgen's Structure; engines restore the host's periodicity
        return AseAtomsAdaptor.get_structure(atoms)


@dataclass
class LabelsMaker(Maker):
    """Label a set: as many jobs as structures, each its own unit of retry.

    Parameters
    ----------
    name
        Name of the job that fans out.
    labels
        The engine, its options and the start geometry.
    calculation
        What the engine computes unless its options say so.
    seed
        Campaign seed.
    """

    name: str = "labels"
    labels: LabelSpec = field(default_factory=LabelSpec)
    seed: int = 0

    def engine(self) -> Any:  # noqa: ANN401  a Maker of any class; see ReferenceEngine
        """Return the engine's Maker.

        Raises
        ------
        ValueError
            If the engine has no such option.
        """
        maker = reference_engine(self.labels.engine)
        accepted = [f for f in maker.__dataclass_fields__ if f != "name"]
        if unknown := sorted(set(self.labels.options) - set(accepted)):
            msg = (
                f"labels: engine {self.labels.engine!r} has no option {', '.join(unknown)}; "
                f"accepted: {', '.join(accepted)}"
            )
            raise ValueError(msg)
        return maker(**self.labels.options)

    @job
    def make(self, structures: StructuresDoc) -> Response[Any]:
        """Fan out; the output is the list of label documents."""
        engine = self.engine()
        jobs: list[Any] = []
        outputs = []
        for entry in structures.structures:
            start = None
            if self.labels.start is not None:
                prepare = StartMaker(start=self.labels.start, seed=self.seed).make(
                    entry, structures.alloy
                )
                prepare.append_name(f" {entry.formula}")
                jobs.append(prepare)
                start = prepare.output
            label = engine.make(entry, structures.alloy, source=_link(structures), start=start)
            label.append_name(f" {entry.formula}")
            jobs.append(label)
            outputs.append(label.output)
        return Response(replace=Flow(jobs, output=outputs, name=self.name))


def _link(structures: StructuresDoc) -> StructuresDoc:
    """Return the document without its structures: each label needs its uuid, not its content."""
    return structures.model_copy(update={"structures": []})
