"""Labels: one job of the reference engine per structure, and the start geometry before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ase.constraints import FixSymmetry
from jobflow import CURRENT_JOB, Flow, Job, JobConfig, Maker, OutputReference, Response, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy import stream
from hea_flows.alloy.lattice import relax
from hea_flows.config import LabelSpec, StartSpec
from hea_flows.jobs.added import name_added
from hea_flows.jobs.reuse import identity, stored, stored_documents, uuid_of
from hea_flows.jobs.routing import CPU, inherited_config, route, route_label
from hea_flows.potentials import family
from hea_flows.reference import ReferenceMaker, reference_engine
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
            rng = stream(self.seed, "start geometry", structure.structure_id)
            atoms.positions += rng.normal(scale=self.start.rattle, size=atoms.positions.shape)
        atoms.pbc = True  # pymatgen keeps no periodicity; `ReferenceMaker` gives it the host's
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
    seed
        Campaign seed.
    reference
        The engine; default the one that `labels` describes. It is a field so that jobflow's
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
    reference: ReferenceMaker = None  # type: ignore[assignment]  # made of `labels`
    reuse: bool = True

    def __post_init__(self) -> None:
        """Make the engine that the options describe."""
        if self.reference is None:
            self.reference = reference_engine(self.labels.engine).with_options(self.labels.options)

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
        labelled = {e.structure_id for doc in earlier or [] for e in doc.structures}
        entries = [e for e in structures.structures if e.structure_id not in labelled]
        structures = structures.model_copy(update={"structures": entries})
        if len(entries) > PART:
            return Response(replace=self._in_parts(structures, more))
        keys = self._identities(structures)
        in_store = _usable(list(keys.values()))
        uuids = [key for e in entries if (key := keys.get(e.structure_id)) in in_store]
        reused = name_added(stored_documents(uuids), f"stored {uuids}")
        jobs: list[Job | Flow] = [route(reused, CPU, **more)] if uuids else []
        outputs: list[OutputReference] = []
        for entry in entries:
            key = keys.get(entry.structure_id)
            if key in in_store:
                outputs.append(reused.output[uuids.index(key)])
                continue
            *before, label = self._label(entry, structures, more)
            if key is None:
                name_added(label, f"label of {entry.structure_id}")
            else:
                label.set_uuid(key)
            jobs += [*before, label]
            outputs.append(label.output)
        return Response(replace=Flow(jobs, output=outputs, name=self.name))

    def _label(
        self, entry: StructureEntry, structures: StructuresDoc, more: dict[str, Any]
    ) -> list[Job]:
        """Return the jobs of one structure; the last one labels it."""
        jobs: list[Job] = []
        start = None
        if self.labels.start is not None:
            prepare = StartMaker(start=self.labels.start, seed=self.seed).make(
                entry, structures.alloy
            )
            name_added(prepare, f"start of {entry.structure_id}")
            prepare.append_name(f" {entry.formula}")
            jobs.append(route(prepare, self.labels.start.model.family, **more))
            start = prepare.output
        source = Document(kind=structures.kind, uuid=structures.uuid)
        label = self.reference.make(entry, structures.alloy, source=source, start=start)
        label.append_name(f" {entry.formula}")
        return [*jobs, (route_label if jobs else route)(label, self.reference.category, **more)]

    def _identities(self, structures: StructuresDoc) -> dict[str, str]:
        """Return the uuid of the job that labels each structure; none if labels are not reused."""
        start = self.labels.start
        if not self.reuse or (engine := self.reference.identity()) is None:
            return {}
        host = structures.alloy.any_composition
        common = {"engine": engine, "alloy": host, "start": _start_identity(start)}
        if start is not None and start.rattle:
            common["seed"] = self.seed
        return {
            e.structure_id: uuid_of(identity(**common, structure=e.structure_id))
            for e in structures.structures
        }

    def _in_parts(self, structures: StructuresDoc, more: dict[str, Any]) -> Flow:
        """Return the jobs that fan out parts of a set; the output is one list."""
        everything = structures.structures
        jobs: list[Job | Flow] = []
        outputs: list[OutputReference] = []
        for first in range(0, len(everything), PART):
            part = everything[first : first + PART]
            job = self.make(structures.model_copy(update={"structures": part}))
            name_added(job, f"labels of {[e.structure_id for e in part]}")
            job.append_name(f" {first + 1}-{first + len(part)} of {len(everything)}", dynamic=False)
            jobs.append(fan_out(job, **more))
            outputs += [job.output[i] for i in range(len(part))]
        return Flow(jobs, output=outputs, name=self.name)


def fan_out(job: Job, **manager_config: object) -> Job:
    """Route a job of `LabelsMaker`: its labels keep their own categories."""
    route_label(job, CPU, **manager_config)
    job.config.pass_manager_config = False
    # The job that will hold the list of labels is made by jobflow.
    job.update_config({"manager_config": job.config.manager_config}, name_filter="store_inputs")
    return job


def _start_identity(start: StartSpec | None) -> object:
    """Return what a start geometry depends on: the content of a model's file, not its place."""
    if start is None:
        return None
    spec = start.model
    if spec.path is not None:
        spec = family(spec.family).resolve(spec)
    return {"model": spec.content(), "rattle": start.rattle}


def _usable(uuids: list[str]) -> set[str]:
    """Return those whose labels are in the store and can be used."""
    usable = {"$in": ["converged", "unconverged"]}
    return set(stored({"uuid": {"$in": uuids}, "output.state": usable}) if uuids else [])
