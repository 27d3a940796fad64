"""A potential in place of DFT: labels for studies of size, never to be taken for DFT."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ase import Atoms
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.lattice import PairTerm, relax
from hea_flows.potentials.base import family
from hea_flows.reference.base import LABEL_DATA, Calculation, Labelled, label_document
from hea_flows.schemas import AlloySpec, Document, LabelDoc, ModelSpec, StructureEntry
from hea_flows.settings import get_settings


@dataclass
class SyntheticMaker(Maker):
    """Label a structure with a potential, as a teacher of others.

    It shows how errors depend on training sets at sizes that no DFT reaches here. A student of the
    teacher's own family would only have to stay what it is: give such a teacher a pair term, which
    is then exactly what there is to learn.

    Parameters
    ----------
    name
        Job name.
    calculation
        ``relax`` (atoms and in-plane cell, every step a frame) or ``static``.
    model
        The potential.
    pairs
        Energies between neighbouring alloyed atoms that are added to it (eV), see
        `hea_flows.alloy.lattice.pair_term.PairTerm`.
    cutoff
        Cutoff of these (Å).
    fmax
        Convergence of a relaxation (eV/Å).
    max_steps
        Largest number of moves.
    """

    name: str = "teacher"
    calculation: Calculation = "relax"
    model: ModelSpec = field(default_factory=lambda: ModelSpec(family="chgnet", name="0.3.0"))
    pairs: dict[str, float] = field(default_factory=dict)
    cutoff: float = 5.0
    fmax: float = 0.02
    max_steps: int = 100

    @classmethod
    def from_options(
        cls,
        *,
        model: str | Mapping[str, Any] = "chgnet:0.3.0",
        calculation: Calculation = "relax",
        pairs: Mapping[str, float] | None = None,
        cutoff: float = 5.0,
        fmax: float = 0.02,
        max_steps: int = 100,
    ) -> Self:
        """Return the Maker that the options of a campaign file describe.

        Parameters
        ----------
        model
            ``family:name``, or the fields of a `ModelSpec`.
        calculation, pairs, cutoff, fmax, max_steps
            Fields of the Maker.
        """
        if isinstance(model, str):
            which, _, name = model.partition(":")
            model = {"family": which, "name": name or None}
        return cls(
            calculation=calculation,
            model=ModelSpec.model_validate(model),
            pairs=dict(pairs or {}),
            cutoff=cutoff,
            fmax=fmax,
            max_steps=max_steps,
        )

    @property
    def category(self) -> str:
        """Workers of the model's family take the jobs."""
        return self.model.family

    def check(self, alloy: AlloySpec) -> None:
        """Raise `ValueError` if there is no such model, or a pair is not one of the alloy."""
        if not self.model.pretrained:
            msg = f"a teacher is a trained model, for example chgnet:0.3.0; got {self.model.family}"
            raise ValueError(msg)
        family(self.model.family).resolve(self.model)
        for pair in self.pairs:
            parts = pair.split("-")
            if len(parts) != 2 or not set(parts) <= set(alloy.elements):
                msg = f"pairs: {pair!r} is no pair of {'-'.join(alloy.elements)}; write Mo-Ta: 0.02"
                raise ValueError(msg)

    def identity(self) -> dict[str, Any]:
        """Return what its labels depend on: the model's file, whatever it is called."""
        spec = family(self.model.family).resolve(self.model)
        model = spec.model_dump(exclude={"name", "path"})
        return {"fields": replace(self, model=ModelSpec(family=spec.family)), "model": model}

    @job(data=LABEL_DATA, output_schema=LabelDoc)
    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
    ) -> LabelDoc:
        """Label one structure; see `hea_flows.reference.base.ReferenceEngine`."""
        ordering = structure.to_ordering(alloy.to_alloy())
        atoms = ordering.to_atoms() if start is None else AseAtomsAdaptor.get_atoms(start)
        atoms.pbc = ordering.alloy.pbc
        engine = family(self.model.family)
        spec = engine.resolve(self.model)

        def compute() -> Labelled:
            base: Any = engine.calculator(spec, device=get_settings().device)
            term = PairTerm(self.pairs, self.cutoff)
            atoms.calc = SumCalculator([base, term]) if self.pairs else base
            if self.calculation == "static":
                return Labelled([_frame(atoms)], converged=True)
            frames: list[Atoms] = []
            done = relax(
                atoms,
                fmax=self.fmax,
                max_steps=self.max_steps,
                on_step=lambda a: frames.append(_frame(a)),
            )
            return Labelled(frames, done)

        return label_document(
            compute,
            structure=structure,
            alloy=alloy,
            engine=f"teacher:{spec.title}",
            rule={
                "code": "teacher",
                "model": spec.model_dump(exclude={"path"}),
                "pairs": {"-".join(sorted(k.split("-"))): v for k, v in self.pairs.items()},
                "cutoff": self.cutoff if self.pairs else None,
            },
            calculation=self.calculation,
            source=source,
        )


def _frame(atoms: Atoms) -> Atoms:
    frame = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    energy = float(atoms.get_potential_energy())
    frame.calc = SinglePointCalculator(
        frame,
        energy=energy,
        free_energy=energy,
        forces=deepcopy(atoms.get_forces()),
        stress=deepcopy(atoms.get_stress()),
    )
    return frame
