"""What a campaign file asks for, as a list of sets to label, models to train and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hea_flows.config.campaign import Campaign, structures_of
from hea_flows.config.sections import GrowthSpec, LabelSpec, ModelEntry
from hea_flows.schemas import ModelSpec, TrainingSettings


@dataclass(frozen=True)
class LabelledSet:
    """A set of structures, who labels it, and what it is for.

    Parameters
    ----------
    expression, labels
        The set and its labels.
    uses
        Names of the models that are trained on it and of the test sets it is in.
    ids
        Structures, in the order of the set.
    end_points
        Whether primitive cells of one element are among them.
    """

    expression: str
    labels: LabelSpec
    uses: list[str]
    ids: tuple[str, ...]
    end_points: bool


@dataclass(frozen=True)
class Training:
    """One model to train; sets are positions in `Plan.sets`."""

    name: str
    sets: tuple[int, ...]
    model: ModelSpec
    settings: TrainingSettings


@dataclass(frozen=True)
class Comparison:
    """One test set; sets are positions in `Plan.sets`."""

    name: str
    sets: tuple[int, ...]
    relaxed: bool


@dataclass(frozen=True)
class GrowthPlan:
    """Training sets that are tried in their order; numbers are positions in the plan's lists.

    Parameters
    ----------
    sets
        The set of every step. The first one is in `Plan.sets` too; the others are labelled only
        when their turn comes.
    first
        The first one's position among the sets.
    beside
        Other sets that are labelled in the same way and share structures with one of these.
    test_set
        The test set that decides.
    """

    sets: list[LabelledSet]
    first: int
    beside: tuple[int, ...]
    test_set: int


@dataclass
class Plan:
    """What a campaign does.

    Parameters
    ----------
    sets
        Sets to label, in this order, each once.
    trainings
        Models to train, one per seed.
    foundations
        Models that are compared as they are, by name.
    test_sets
        What every model is compared with.
    growth
        A training set that grows.
    sqs
        Position of the quasirandom structures among the sets, if they are labelled.
    """

    sets: list[LabelledSet] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    foundations: dict[str, ModelSpec] = field(default_factory=dict)
    test_sets: list[Comparison] = field(default_factory=list)
    growth: GrowthPlan | None = None
    sqs: int | None = None

    @property
    def training_sets(self) -> tuple[int, ...]:
        """The sets that a campaign without models would train on."""
        return tuple(i for i, s in enumerate(self.sets) if "training" in s.uses)

    def earlier(self, k: int) -> list[int]:
        """Return the sets before a set that share structures with it, and their labels."""
        own, ids = self.sets[k], set(self.sets[k].ids)
        return [
            i
            for i, other in enumerate(self.sets[:k])
            if other.labels == own.labels and ids & set(other.ids)
        ]

    def providers(self, chosen: Sequence[int], *, end_points: bool = False) -> list[int]:
        """Return the sets whose labels hold all structures of the chosen ones.

        A structure of several sets with the same labels is labelled with the first of them.

        Parameters
        ----------
        chosen
            Positions in `sets`.
        end_points
            Whether labels of the end points are wanted too: those made like the chosen sets'
            first, else the first there are.
        """
        found = {i for k in chosen for i in (*self.earlier(k), k)}
        if end_points:
            alike = [s.labels == self.sets[chosen[0]].labels for s in self.sets]
            pure = [i for i, s in enumerate(self.sets) if s.end_points]
            found |= set([i for i in pure if alike[i]][:1] or pure[:1])
        return sorted(found)


def plan(campaign: Campaign) -> Plan:
    """Return what a campaign does.

    Raises
    ------
    ValueError
        If a training set that grows cannot: its first set has no end points, a set adds nothing,
        or the test set that decides holds nothing but training structures.
    """
    work = _Planner(campaign)
    own: dict[str, list[int]] = {"held-out": [], "training": []}
    for spec in campaign.structures:
        own[spec.use].append(work.labelled(spec.set, spec.labels, spec.use))
    if own["training"] and campaign.model is not None:
        work.single_model(campaign.model, tuple(own["training"]))
    for entry in campaign.models:
        work.entry(entry)
    if campaign.grow is not None:
        work.labelled(campaign.grow.sets[0], campaign.grow.labels, "grow, step 1")
    if work.plan.trainings or work.plan.foundations:
        work.plan.test_sets += [Comparison(k, tuple(v), relaxed=True) for k, v in own.items() if v]
    for name, test_set in campaign.test_sets.items():
        at = work.labelled(test_set.set, test_set.labels, name)
        work.plan.test_sets.append(Comparison(name, (at,), test_set.relaxed))
    if campaign.grow is not None:
        work.growth(campaign.grow)
    if campaign.sqs is not None:
        work.plan.sqs = work.labelled(*campaign.sqs, "SQS")
    return work.plan


class _Planner:
    def __init__(self, campaign: Campaign) -> None:
        self.campaign, self.plan = campaign, Plan()

    def labelled(self, expression: str, labels: LabelSpec | None, use: str) -> int:
        """Return the position of a set that is labelled in a way, added if it is new."""
        spec = labels or self.campaign.labels
        for i, known in enumerate(self.plan.sets):
            if (known.expression, known.labels) == (expression, spec):
                if use not in known.uses:
                    known.uses.append(use)
                return i
        self.plan.sets.append(self.built(expression, spec, use))
        return len(self.plan.sets) - 1

    def built(self, expression: str, labels: LabelSpec, use: str) -> LabelledSet:
        """Return a set of the campaign's alloy."""
        found = structures_of(expression, self.campaign.alloy, self.campaign.seed)
        ids, pure = tuple(key for key, _ in found), any(n == 1 for _, n in found)
        return LabelledSet(expression, labels, [use], ids, pure)

    def single_model(self, model: ModelSpec, sets: tuple[int, ...]) -> None:
        """Add a campaign's own model, of the campaign's name, and its foundation beside it."""
        campaign = self.campaign
        self.plan.trainings.append(Training(campaign.name, sets, model, campaign.training))
        if model.pretrained:
            self.plan.foundations[model.label] = model

    def entry(self, entry: ModelEntry) -> None:
        """Add a model of a study."""
        parent = entry.model or self.campaign.model
        assert parent is not None  # the campaign made sure
        if entry.set is None:
            self.plan.foundations[entry.name] = parent
            return
        at = self.labelled(entry.set, entry.labels, entry.name)
        settings = self.campaign.settings_of(entry)
        self.plan.trainings += [
            Training(entry.name, (at,), parent, settings.model_copy(update={"seed": seed}))
            for seed in entry.seeds or [settings.seed]
        ]

    def growth(self, spec: GrowthSpec) -> None:
        """Add a training set that grows; its first set and its test set are there already."""
        labels = spec.labels or self.campaign.labels
        sets = [self.built(s, labels, f"grow, step {k}") for k, s in enumerate(spec.sets, 1)]
        if not sets[0].end_points:
            msg = (
                f"grow: the first set, {spec.sets[0]}, has no end points, which mixing energies "
                "need; begin it with 1(1)+"
            )
            raise ValueError(msg)
        every: set[str] = set()
        for one in sets:
            if not set(one.ids) - every:
                msg = f"grow: {one.expression} adds no structure to the sets before it"
                raise ValueError(msg)
            every |= set(one.ids)
        names = [d.name for d in self.plan.test_sets]
        at = len(names) - 1 - names[::-1].index(spec.test_set)  # those of `test_sets` come last
        [held] = self.plan.test_sets[at].sets
        if set(self.plan.sets[held].ids) <= every:
            msg = (
                f"grow: every structure of {spec.test_set!r} is in the training sets, so that it "
                "tells no error; choose a test set of other structures"
            )
            raise ValueError(msg)
        first = self.labelled(spec.sets[0], spec.labels, "grow, step 1")
        beside = (
            i
            for i, s in enumerate(self.plan.sets)
            if i != first and s.labels == labels and every & set(s.ids)
        )
        self.plan.growth = GrowthPlan(sets, first, tuple(beside), at)
