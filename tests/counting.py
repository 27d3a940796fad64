"""A reference engine and a model family that note what they are asked, for tests of reuse.

Both are closed forms, so that a campaign of them takes seconds.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from hea_flows.alloy.lattice import Ordering
from hea_flows.potentials.base import Family, Prediction, TrainingResult
from hea_flows.reference import Calculation, Outcome, ReferenceMaker
from hea_flows.schemas import Epoch, ErrorSummary, ModelSpec, TrainingSettings

#: What was asked for, as (kind, what), in this order.
CALLS: list[tuple[str, str]] = []
#: Formulas whose labels fail.
FAIL: set[str] = set()


def calls(kind: str) -> Counter[str]:
    """Return how often each thing of a kind was asked for."""
    return Counter(what for k, what in CALLS if k == kind)


def energy(atoms: Atoms, scale: float = 1.0) -> float:
    """Return −20 eV per metal, and 10 meV · `scale` per unlike pair, divided by their number."""
    metals = [s for s in atoms.get_chemical_symbols() if s != "S"]
    unlike = sum(a != b for a in metals for b in metals) / (2 * len(metals))
    return 0.01 * scale * unlike - 20.0 * len(metals)


def labelled(atoms: Atoms, value: float) -> Atoms:
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=value,
        free_energy=value,
        forces=np.zeros((len(atoms), 3)),
        stress=np.zeros(6),
    )
    return atoms


@dataclass
class CountingMaker(ReferenceMaker):
    """Label with `energy`."""

    category = "cpu"

    name: str = "counting"
    calculation: Calculation = "static"
    scale: float = 1.0

    def rule(self) -> dict[str, Any]:
        return {"code": "counting", "scale": self.scale}

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        CALLS.append(("label", ordering.id))
        if ordering.formula in FAIL:
            msg = "it was asked to fail"
            raise ArithmeticError(msg)
        return Outcome([labelled(atoms, energy(atoms, self.scale))], converged=True)


class CountingFamily(Family):
    """Models that are one number, the scale of `energy`; training draws it from the seed."""

    name = "counted"

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        return spec.model_copy(update={"sha256": spec.sha256 or "0" * 64})

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Any:
        raise NotImplementedError

    def evaluate(self, spec: ModelSpec, atoms_list: Sequence[Atoms], **_: Any) -> list[Prediction]:
        CALLS.append(("evaluate", str(len(atoms_list))))
        scale = float(Path(spec.path).read_text()) if spec.path else 2.0
        return [
            Prediction(energy(a, scale), np.zeros((len(a), 3)), np.zeros(6)) for a in atoms_list
        ]

    def train(
        self,
        parent: ModelSpec | None,
        train: Sequence[Atoms],
        validation: Sequence[Atoms],
        test: Sequence[Atoms],
        settings: TrainingSettings,
        directory: Path,
        on_epoch: Any = None,
        **_: Any,
    ) -> TrainingResult:
        CALLS.append(("train", str(settings.seed)))
        directory.mkdir(parents=True)  # a run of its own, not one that is there
        path = directory / "model.pt"
        path.write_text(str(1 + np.random.default_rng(settings.seed).random()))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        zero = ErrorSummary.model_validate(dict.fromkeys(ErrorSummary.model_fields, 0))
        return TrainingResult(
            model=ModelSpec(family=self.name, path=str(path), sha256=sha256),
            settings=settings,
            best_epoch=1,
            curve=[Epoch.model_validate(dict.fromkeys(Epoch.model_fields, 1))],
            errors={"train": zero, "validation": zero, "test": zero},
            seconds=0.0,
        )
