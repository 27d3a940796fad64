"""What the parts of a campaign that follow its labels take, before it is submitted.

The time of a model is measured on this machine (`hea_flows.potentials.measure`), and the number of
its evaluations is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from hea_flows.alloy.errors import default_fractions
from hea_flows.alloy.phases import CompositionLadder
from hea_flows.alloy.sampling import ExchangeLadder, Mode
from hea_flows.alloy.sets import supercell_matrix
from hea_flows.config import (
    Campaign,
    MonteCarloSpec,
    PhaseDiagramSpec,
    SetPlan,
    TestSetPlan,
    ThermodynamicsSpec,
    orderings_of,
    plan_campaign,
)
from hea_flows.jobs.labelling import LabelsMaker
from hea_flows.potentials import Timing, family, measure
from hea_flows.potentials.training import with_defaults
from hea_flows.schemas import ModelSpec, TrainingSettings
from hea_flows.settings import get_settings

#: Frames of a label whose engine does not tell: as many as the shipped relaxations have.
FRAMES = 6
#: A step of training, second derivatives included, over an evaluation of the same atoms.
TRAINING = 3.7
#: Moves of a relaxation with a model, from the ideal lattice.
MOVES = 20
#: Steps of a relaxation with the response of the host, and displacements that this takes of every
#: compound: two of every coordinate of a primitive cell and of every strain.
STEPS, DISPLACED = 3, 2
#: Temperatures of a ladder that a pilot run has yet to choose, and what it evaluates.
RUNGS, PILOT = 12, 1000
#: κ of a phase diagram that follows from dilute limits.
KAPPA = 6.0
#: Decorations that the first expansion of nested sampling is fitted to.
FITTED = 60


@dataclass(frozen=True)
class PartEstimate:
    """What a part of a campaign takes on this machine: one core of a CPU, or its GPU.

    Parameters
    ----------
    part
        The part.
    work
        What is counted.
    seconds
        Time (s); None if it is not known.
    basis
        Where the time comes from, or why it is not known.
    """

    part: str
    work: str
    seconds: float | None
    basis: str


def estimate_parts(campaign: Campaign) -> list[PartEstimate]:
    """Return what each part of a campaign takes, labels left out.

    Parameters
    ----------
    campaign
        A campaign that `hea_flows.flows.check_campaign` has not refused.
    """
    return list(_Estimator(campaign).parts())


class _Estimator:
    def __init__(self, campaign: Campaign) -> None:
        self.campaign, self.plan = campaign, plan_campaign(campaign)
        self.host = campaign.alloy.to_alloy()
        self.timings: dict[str, tuple[Timing | None, str]] = {}

    def parts(self) -> Iterator[PartEstimate]:
        """Yield the parts in the order in which they run."""
        plan, campaign = self.plan, self.campaign
        for model in plan.models:
            yield self.training(model.title, model.sets, model.model, model.settings)
        if (growth := plan.growth) is not None:
            for k in range(1, len(growth.steps) + 1):
                for settings in growth.trainings:
                    title = f"growth, step {k}, seed {settings.seed}"
                    yield self.training(title, growth.steps[:k], growth.model, settings)
        if plan.test_sets:
            for one in plan.usable:
                yield self.benchmark(one.title, one.specs, plan.test_sets)
        if campaign.monte_carlo is not None:
            chosen = plan.model(campaign.monte_carlo.model)
            yield self.monte_carlo(campaign.monte_carlo, chosen.specs)
        if campaign.thermodynamics is not None:
            chosen = plan.model(campaign.thermodynamics.model)
            yield self.thermodynamics(campaign.thermodynamics, chosen.specs)
        if campaign.phase_diagram is not None:
            chosen = plan.model(campaign.phase_diagram.model)
            yield self.phase_diagrams(campaign.phase_diagram, chosen.specs)

    def training(
        self, title: str, sets: Sequence[SetPlan], model: ModelSpec, given: TrainingSettings
    ) -> PartEstimate:
        """Return what the training of one model takes."""
        frames, atoms, known = 0, 0, True
        for one in sets:
            reference = LabelsMaker(labels=one.labels).reference
            orderings = orderings_of(one.expression, self.campaign.alloy, self.campaign.seed)
            absent = {ordering.id for ordering in reference.unlabelled(orderings)}
            for ordering in orderings:
                if ordering.id not in absent:
                    n = reference.frames(ordering)
                    known = known and n is not None
                    frames += FRAMES if n is None else n
                    atoms += (FRAMES if n is None else n) * ordering.n_atoms
        train, test, validation = self.campaign.dataset.fractions or default_fractions(frames)
        settings = with_defaults(given, round(train * frames))
        epochs = settings.epochs or 1
        passes = epochs * (TRAINING * train + test + validation)
        work = f"{'' if known else 'about '}{frames} frames"
        work += f", at most {epochs} epochs" if family(model.family).methods else ""
        return self._part(f"training of {title}", work, [model], passes * atoms, 0.0)

    def benchmark(
        self, name: str, models: Sequence[ModelSpec], tests: Iterable[TestSetPlan]
    ) -> PartEstimate:
        """Return what the comparison of one model takes."""
        spec, evaluations, structures = self.campaign.benchmark, 0.0, 0
        for test in tests:
            for one in test.sets:
                sizes = orderings_of(one.expression, self.campaign.alloy, self.campaign.seed)
                atoms = sum(ordering.n_atoms for ordering in sizes)
                moves = min(MOVES, spec.max_steps) if spec.relaxed and test.relaxed else 0
                evaluations += atoms * (1 + moves)
                structures += len(sizes)
        work = f"{structures} structures{', relaxed too' if spec.relaxed else ''}"
        return self._part(f"benchmark of {name}", work, models, evaluations, 0.0)

    def monte_carlo(self, spec: MonteCarloSpec, models: Sequence[ModelSpec]) -> PartEstimate:
        """Return what the chains take."""
        _, counts = spec.cell(self.host)
        atoms = self._atoms(sum(counts.values()))
        ladder = isinstance(spec.temperatures, ExchangeLadder)
        rungs = RUNGS if isinstance(spec.temperatures, ExchangeLadder) else len(spec.temperatures)
        chains = rungs * spec.runs
        decorations = chains * (1 + spec.burn_in + spec.steps) + spec.random + len(counts)
        decorations += (FITTED if spec.method == "nested" else 0) + (PILOT if ladder else 0)
        work = (
            f"{'about ' if ladder else ''}{chains} chains of {spec.burn_in + spec.steps} steps, "
            f"{atoms} atoms, {spec.mode}"
        )
        return self._part(
            "Monte Carlo",
            work,
            models,
            *self._decorations(decorations, atoms, spec.mode, len(counts)),
        )

    def thermodynamics(self, spec: ThermodynamicsSpec, models: Sequence[ModelSpec]) -> PartEstimate:
        """Return what the enthalpies take, and the vibrations if they are asked for."""
        n = len(self.host.elements)
        random = self._size(spec.random_supercell)
        phases = [self._size(spec.sqs[k]) for k in range(2, n + 1) for _ in range(comb(n, k))]
        sites = n * self.host.host.sites_per_cell + sum(phases) + spec.n_random * random
        evaluations, lattice = self._cells(self._atoms(sites), spec.mode, spec.max_steps)
        work = f"{len(phases)} SQS, {spec.n_random} random cells, {spec.mode}"
        if (vibrations := spec.vibrations) is not None:
            cells = [self._atoms(size) for size in (*[self.host.host.sites_per_cell] * n, *phases)]
            area = self.host.primitive().cell.lengths()[0]
            periodic = sum(self.host.pbc)
            for atoms in cells:
                length = area * (atoms / self.host.host.atoms_per_cell) ** (1 / periodic)
                repeats = int(np.ceil(vibrations.min_length / length)) ** periodic
                evaluations += 6 * atoms * atoms * repeats  # without symmetry
            work += ", vibrations"
        return self._part("thermodynamics", work, models, evaluations, lattice)

    def phase_diagrams(self, spec: PhaseDiagramSpec, models: Sequence[ModelSpec]) -> PartEstimate:
        """Return what the chains of all binaries take."""
        pairs, states, cost = len(spec.pairs_of(self.host)), 0, [0.0, 0.0]
        for cell in spec.cells(self.host):
            n = self.host.n_sites(cell)
            compositions = len(CompositionLadder(n, spec.kappa or KAPPA).compositions)
            chains = compositions * len(spec.temperatures) * spec.runs
            states += chains
            decorations = chains * (1 + spec.burn_in + spec.steps) + FITTED
            part = self._decorations(decorations, self._atoms(n), spec.mode, 2)
            cost = [pairs * p + c for p, c in zip(part, cost, strict=True)]
        work = (
            f"{pairs} {'binaries' if pairs > 1 else 'binary'}, {states} chains of "
            f"{spec.burn_in + spec.steps} steps each, {spec.mode}"
        )
        evaluated, lattice = cost
        return self._part("phase diagrams", work, models, evaluated, lattice)

    def _decorations(
        self, decorations: int, atoms: int, mode: Mode, elements: int
    ) -> tuple[float, float]:
        """Return atoms to evaluate with forces, and on the ideal lattice."""
        if mode == "fixed lattice":
            return 0.0, float(decorations * atoms)
        coordinates = 3 * self.host.host.atoms_per_cell + 6
        return float((decorations * (1 + STEPS) + DISPLACED * elements * coordinates) * atoms), 0.0

    def _cells(self, atoms: float, mode: Mode, max_steps: int) -> tuple[float, float]:
        """Return atoms to evaluate with forces, and on the ideal lattice."""
        return (atoms * (1 + min(MOVES, max_steps)), 0.0) if mode == "relaxed" else (0.0, atoms)

    def _part(
        self,
        part: str,
        work: str,
        models: Sequence[ModelSpec],
        evaluated: float,
        lattice: float,
    ) -> PartEstimate:
        timed = [self._timing(model) for model in models]
        times = [
            evaluated * timing.evaluation + lattice * timing.lattice
            for timing, _ in timed
            if timing is not None
        ]
        seconds = sum(times) if len(times) == len(models) else None
        return PartEstimate(part, work, seconds, "; ".join(dict.fromkeys(b for _, b in timed)))

    def _timing(self, model: ModelSpec) -> tuple[Timing | None, str]:
        """Return a model's time for an atom, measured once, and what to say of it."""
        key = model.model_dump_json()
        if key not in self.timings:
            self.timings[key] = self._measured(model)
        return self.timings[key]

    def _measured(self, model: ModelSpec) -> tuple[Timing | None, str]:
        kind, title = family(model.family), model.title
        if kind.missing(model) is not None:
            return None, f"{title} is not in the cache"
        try:
            chosen = kind.resolve(model) if model.pretrained else model
            timing = measure(chosen, self.host, device=get_settings().device)
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            return None, f"{title} could not be timed: {' '.join(str(error).split())}"
        if timing is None:
            return None, f"{title}: this family has no untrained model to time"
        return timing, f"{title} measured here: {1e3 * timing.evaluation:.2g} ms per atom"

    def _atoms(self, sites: int) -> int:
        return self.host.n_atoms(sites)

    def _size(self, supercell: str) -> int:
        return self.host.n_sites(supercell_matrix(self.host, supercell))
