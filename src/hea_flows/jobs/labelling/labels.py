"""Labels: one job of the reference engine per structure, and the start geometry before it."""

from __future__ import annotations

import inspect
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase.constraints import FixSymmetry
from jobflow import CURRENT_JOB, Flow, Job, JobConfig, Maker, Response, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.lattice import relax
from hea_flows.config import LabelSpec, StartSpec
from hea_flows.jobs.resume import identity, stored, stored_documents, uuid_of
from hea_flows.jobs.routing import CPU, inherited_config, route, route_label
from hea_flows.potentials.base import family
from hea_flows.reference.base import reference_engine
from hea_flows.schemas import AlloySpec, Document, StructureEntry, StructuresDoc
from hea_flows.settings import get_settings

#: Structures whose labels one job adds to a workflow. FireWorks writes what a job adds into one
#: document, of 16 MB at most, and keeps the workflow locked while it adds it: some seconds for
#: 100 labels, the half minute after which a lock counts as forgotten for 1000.
PART = 100


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
            ideal = atoms.copy()
            # Rounding would break the symmetry, and with it multiply a DFT code's k-points.
            atoms.set_constraint(FixSymmetry(atoms))
            try:
                relax(atoms, fmax=0.02, max_steps=200)
            except ArithmeticError:  # the potential broke down: the engine starts from the ideal
                atoms = ideal
            atoms.calc = None
            atoms.set_constraint()
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
    reference
        The engine's Maker; default the one that `labels` describes. It is a field so that jobflow's
        `update_maker_kwargs` and atomate2's powerups change it before its jobs exist.
    reuse
        Whether a label that is in the store already, of this or another campaign, is taken: the
        same structure, engine with all its fields, start geometry and host.

    Raises
    ------
    ValueError
        If the engine has no such option.
    """

    name: str = "labels"
    labels: LabelSpec = field(default_factory=LabelSpec)
    seed: int = 0
    reference: Any = None
    reuse: bool = True

    def __post_init__(self) -> None:
        """Make the engine that the options describe."""
        if self.reference is None:
            self.reference = self._described()

    def engine(self) -> Any:  # noqa: ANN401  a Maker of any class; see ReferenceEngine
        """Return the engine's Maker."""
        return self.reference

    def _described(self) -> Any:  # noqa: ANN401
        maker = reference_engine(self.labels.engine)
        make = getattr(maker, "from_options", maker)
        accepted = [name for name in inspect.signature(make).parameters if name != "name"]
        if unknown := sorted(set(self.labels.options) - set(accepted)):
            msg = (
                f"labels: engine {self.labels.engine!r} has no option {', '.join(unknown)}; "
                f"accepted: {', '.join(accepted)}"
            )
            raise ValueError(msg)
        return make(**self.labels.options)

    @job(config=JobConfig(expose_store=True))
    def make(
        self, structures: StructuresDoc, earlier: list[StructuresDoc] | None = None
    ) -> Response[Any]:
        """Fan out; the output is the list of label documents.

        A large set is fanned out by several jobs (see `PART`), whose lists are joined to one.

        Parameters
        ----------
        structures
            The set.
        earlier
            Sets that are labelled in the same way by other jobs; what they hold is left out.
        """
        current = CURRENT_JOB.job
        more = inherited_config(current) if current else {}
        known = {e.structure_id for doc in earlier or [] for e in doc.structures}
        entries = [e for e in structures.structures if e.structure_id not in known]
        structures = structures.model_copy(update={"structures": entries})
        if len(entries) > PART:
            return Response(replace=self._in_parts(structures, more))
        keys = self._identities(structures)
        there = self._there(list(keys.values()))
        found = [key for e in entries if (key := keys.get(e.structure_id)) in there]
        reused: Any = stored_documents(found)
        jobs: list[Any] = []
        outputs: list[Any] = []
        n_reused = 0
        for entry in entries:
            key = keys.get(entry.structure_id)
            if key in there:
                outputs.append(reused.output[n_reused])
                n_reused += 1
                continue
            own = self._label(entry, structures, more)
            if key is not None and isinstance(own[-1], Job):
                own[-1].set_uuid(key)
            jobs += own
            outputs.append(own[-1].output)
        if n_reused:
            jobs.append(route(reused, CPU, **more))
        return Response(replace=Flow(jobs, output=outputs, name=self.name))

    def _label(
        self, entry: StructureEntry, structures: StructuresDoc, more: dict[str, Any]
    ) -> list[Any]:
        """Return the jobs of one structure; the last one labels it."""
        engine = self.engine()
        jobs: list[Any] = []
        start = None
        if self.labels.start is not None:
            prepare = StartMaker(start=self.labels.start, seed=self.seed).make(
                entry, structures.alloy
            )
            prepare.append_name(f" {entry.formula}")
            jobs.append(route(prepare, self.labels.start.model.family, **more))
            start = prepare.output
        label = engine.make(entry, structures.alloy, source=_link(structures), start=start)
        label.append_name(f" {entry.formula}")
        category = getattr(engine, "category", self.labels.engine)
        return [*jobs, (route_label if jobs else route)(label, category, **more)]

    def _identities(self, structures: StructuresDoc) -> dict[str, str]:
        """Return the uuid of the job that labels each structure; none if labels are not reused."""
        engine, start = self.engine(), self.labels.start
        own = getattr(engine, "identity", lambda: {"fields": engine})()
        if not self.reuse or own is None:
            return {}
        common = {"engine": own, "alloy": structures.alloy, "start": _start_identity(start)}
        if start is not None and start.rattle:
            common["seed"] = self.seed
        return {
            e.structure_id: uuid_of(identity(**common, structure=e.structure_id))
            for e in structures.structures
        }

    @staticmethod
    def _there(uuids: list[str]) -> set[str]:
        """Return those whose labels are in the store and can be used."""
        usable = {"$in": ["converged", "unconverged"]}
        return set(stored({"uuid": {"$in": uuids}, "output.state": usable}) if uuids else [])

    def _in_parts(self, structures: StructuresDoc, more: dict[str, Any]) -> Flow:
        """Return the jobs that fan out parts of a set; the output is one list."""
        everything = structures.structures
        jobs: list[Any] = []
        outputs = []
        for first in range(0, len(everything), PART):
            part = everything[first : first + PART]
            job: Any = self.make(structures.model_copy(update={"structures": part}))
            job.append_name(f" {first + 1}-{first + len(part)} of {len(everything)}", dynamic=False)
            jobs.append(fan_out(job, **more))
            outputs += [job.output[i] for i in range(len(part))]
        return Flow(jobs, output=outputs, name=self.name)


def fan_out(job: Any, **manager_config: Any) -> Any:  # noqa: ANN401
    """Route a job of `LabelsMaker`: its labels keep their own categories."""
    route_label(job, CPU, **manager_config)
    job.config.pass_manager_config = False
    # The job that will hold the list of labels is made by jobflow.
    job.update_config({"manager_config": job.config.manager_config}, name_filter="store_inputs")
    return job


def _start_identity(start: StartSpec | None) -> Any:  # noqa: ANN401
    """Return what a start geometry depends on: the content of a model's file, not its place."""
    if start is None or start.model.path is None:
        return start
    spec = family(start.model.family).resolve(start.model)
    return {"model": spec.model_dump(exclude={"path"}), "rattle": start.rattle}


def _link(structures: StructuresDoc) -> Document:
    """Return what a label needs of the document it comes from: its uuid."""
    return Document(kind=structures.kind, uuid=structures.uuid)
