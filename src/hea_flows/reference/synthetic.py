"""A potential in place of DFT: labels for studies of size, never to be taken for DFT."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from ase import Atoms
from ase.calculators.mixing import SumCalculator
from pydantic import BeforeValidator

from hea_flows.alloy.lattice import Ordering, PairTerm
from hea_flows.potentials import family
from hea_flows.reference.base import ReferenceMaker
from hea_flows.reference.document import Calculation, Outcome
from hea_flows.reference.evaluation import evaluate
from hea_flows.reference.options import Count, Positive
from hea_flows.schemas import AlloySpec, ModelSpec
from hea_flows.settings import get_settings


def _from_text(value: object) -> object:
    """Read ``family:name`` as the fields of a `ModelSpec`; pass anything else on."""
    if not isinstance(value, str):
        return value
    kind, _, name = value.partition(":")
    return {"family": kind, "name": name or None}


@dataclass
class SyntheticMaker(ReferenceMaker):
    """Label a structure with a potential, from which others learn.

    It shows how errors depend on training sets at sizes that no DFT reaches. A potential of the
    same family would have nothing to learn: add a pair term, which is then exactly what there is
    to learn.

    Parameters
    ----------
    name
        Job name.
    calculation
        ``relax`` (atoms and in-plane cell, every step a frame) or ``static``.
    model
        The potential: a `ModelSpec`, its fields, or ``family:name``.
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

    name: str = "synthetic"
    calculation: Calculation = "relax"
    model: Annotated[ModelSpec, BeforeValidator(_from_text)] = field(
        default_factory=lambda: ModelSpec(family="chgnet", name="0.3.0")
    )
    pairs: dict[str, float] = field(default_factory=dict)
    cutoff: Positive = 5.0
    fmax: Positive = 0.02
    max_steps: Count = 100

    def __post_init__(self) -> None:
        """Take ``family:name``, or the fields of a `ModelSpec`, as campaign files have them."""
        self.model = ModelSpec.model_validate(_from_text(self.model))

    @property
    def engine(self) -> str:
        """The potential is what labels."""
        return f"synthetic:{self._resolved.title}"

    @property
    def category(self) -> str:
        """Workers of the model's family take the jobs."""
        return self.model.family

    def check(self, alloy: AlloySpec) -> None:
        """Raise `ValueError` if there is no such model, or a pair is not one of the alloy."""
        super().check(alloy)
        if not self.model.pretrained:
            msg = f"labels need a trained model, for example chgnet:0.3.0; got {self.model.family}"
            raise ValueError(msg)
        kind = family(self.model.family)
        kind.check(self.model)
        if self.model.path is not None:
            kind.resolve(self.model)
        for pair in self.pairs:
            parts = pair.split("-")
            if len(parts) != 2 or not set(parts) <= set(alloy.elements):
                msg = f"pairs: {pair!r} is no pair of {'-'.join(alloy.elements)}; write Mo-Ta: 0.02"
                raise ValueError(msg)

    @property
    def potential(self) -> ModelSpec:
        """The potential that labels."""
        return self.model

    def identity(self) -> dict[str, Any]:
        """Return what its labels depend on: the model's file, whatever it is called."""
        model = self._resolved.model_copy(update={"name": None}).content()
        return {"fields": replace(self, model=ModelSpec(family=self.model.family)), "model": model}

    def rule(self) -> dict[str, Any]:
        """Return the potential, by its content, and the pair term."""
        return {
            "code": "synthetic",
            "model": self._resolved.content(),
            "pairs": {"-".join(sorted(k.split("-"))): v for k, v in self.pairs.items()},
            "cutoff": self.cutoff if self.pairs else None,
        }

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:  # noqa: ARG002  atoms are all
        """Label one structure."""
        potential = family(self.model.family)
        calculator = potential.calculator(self._resolved, device=get_settings().device)
        term = PairTerm(self.pairs, self.cutoff)
        atoms.calc = SumCalculator([calculator, term]) if self.pairs else calculator
        return evaluate(atoms, self.calculation, fmax=self.fmax, max_steps=self.max_steps)

    @property
    def _resolved(self) -> ModelSpec:
        return family(self.model.family).resolve(self.model)
