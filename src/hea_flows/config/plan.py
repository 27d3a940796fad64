"""What a campaign does: the sets it labels, the models it trains, what compares and uses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hea_flows.config.campaign import Campaign, orderings_of
from hea_flows.config.sections import GrowthSpec, LabelSpec, ModelEntry
from hea_flows.schemas import ModelSpec, TrainingSettings


@dataclass(frozen=True, eq=False)
class SetPlan:
    """A set of structures, who labels it, and what it is for.

    Parameters
    ----------
    name
        What distinguishes it from the other sets of the plan: the expression, and a number where
        several have the same one and other labels.
    expression, labels
        The set and its labels.
    uses
        Names of the models that are trained on it and of the test sets it is in.
    ids
        Structures, in the order of the set.
    end_points
        Whether primitive cells of one element are among them.
    """

    name: str
    expression: str
    labels: LabelSpec
    uses: list[str]
    ids: tuple[str, ...]
    end_points: bool

    def shares(self, other: SetPlan) -> bool:
        """Return whether another set is labelled in the same way and has some of its structures."""
        return self.labels == other.labels and not set(self.ids).isdisjoint(other.ids)


@dataclass(frozen=True, eq=False)
class ModelPlan:
    """One model to train.

    Parameters
    ----------
    name
        The campaign's name of the model.
    sets
        What it is trained on.
    model
        Its parent, or a family to train afresh.
    settings
        How it is trained, the seed included.
    several
        Whether models of other seeds have the same name.
    """

    name: str
    sets: tuple[SetPlan, ...]
    model: ModelSpec
    settings: TrainingSettings
    several: bool = False

    @property
    def title(self) -> str:
        """The name, and the seed if it is one of several."""
        return f"{self.name}, seed {self.settings.seed}" if self.several else self.name


@dataclass(frozen=True, eq=False)
class CommitteePlan:
    """Trained models that predict together, of all seeds of their names."""

    name: str
    models: tuple[ModelPlan, ...]
    weights: Literal["equal", "fitted"]


@dataclass(frozen=True)
class UsableModel:
    """A model that is compared, and that Monte Carlo and thermodynamics may use.

    Parameters
    ----------
    name, title
        The campaign's name, and the name with the seed if it is one of several.
    specs
        What is evaluated: the parent of a trained model takes as long as the model.
    """

    name: str
    title: str
    specs: tuple[ModelSpec, ...]


@dataclass(frozen=True, eq=False)
class TestSetPlan:
    """One test set: the sets whose structures it holds, and whether models relax them."""

    name: str
    sets: tuple[SetPlan, ...]
    relaxed: bool


@dataclass(frozen=True, eq=False)
class GrowthPlan:
    """Training sets that are tried in their order.

    Parameters
    ----------
    steps
        The set of every step. The first one is in `CampaignPlan.sets` too; the others are labelled
        only when their turn comes.
    first
        The first one among the sets of the plan.
    beside
        Other sets that are labelled in the same way and share structures with one of these.
    test_set
        The test set that decides.
    model, trainings
        What is trained at each step, and how: once per seed.
    spec
        The section of the file.
    """

    steps: list[SetPlan]
    first: SetPlan
    beside: tuple[SetPlan, ...]
    test_set: TestSetPlan
    model: ModelSpec
    trainings: list[TrainingSettings]
    spec: GrowthSpec


@dataclass
class CampaignPlan:
    """What a campaign does.

    Parameters
    ----------
    sets
        Sets to label, in this order, each once.
    models
        Models to train, one per seed.
    committees
        Trained models that predict together.
    foundations
        Models that are compared as they are, by name.
    test_sets
        What every model is compared with.
    growth
        A training set that grows.
    sqs
        The quasirandom structures, if they are labelled.
    """

    sets: list[SetPlan] = field(default_factory=list)
    models: list[ModelPlan] = field(default_factory=list)
    committees: list[CommitteePlan] = field(default_factory=list)
    foundations: dict[str, ModelSpec] = field(default_factory=dict)
    test_sets: list[TestSetPlan] = field(default_factory=list)
    growth: GrowthPlan | None = None
    sqs: SetPlan | None = None

    @property
    def training_sets(self) -> tuple[SetPlan, ...]:
        """The sets that a campaign without models would train on."""
        return tuple(one for one in self.sets if "training" in one.uses)

    def labelled_before(self, chosen: SetPlan) -> list[SetPlan]:
        """Return the sets before a set that are labelled in the same way and share structures."""
        before = self.sets[: self.sets.index(chosen)]
        return [one for one in before if one.shares(chosen)]

    def label_sources(
        self, chosen: Sequence[SetPlan], *, end_points: bool = False
    ) -> list[SetPlan]:
        """Return the sets whose labels hold all structures of the chosen ones.

        A structure of several sets with the same labels is labelled with the first of them.

        Parameters
        ----------
        chosen
            Sets of the plan.
        end_points
            Whether labels of the end points are wanted too: those made like the chosen sets'
            first, else the first there are.
        """
        wanted = {one for k in chosen for one in (*self.labelled_before(k), k)}
        if end_points:
            pure = [one for one in self.sets if one.end_points]
            alike = [one for one in pure if one.labels == chosen[0].labels]
            wanted |= set(alike[:1] or pure[:1])
        return [one for one in self.sets if one in wanted]

    @property
    def usable(self) -> list[UsableModel]:
        """Every model: those that are trained, committees, foundations."""
        return [
            *(UsableModel(one.name, one.title, (one.model,)) for one in self.models),
            *(
                UsableModel(one.name, one.name, tuple(m.model for m in one.models))
                for one in self.committees
            ),
            *(UsableModel(name, name, (spec,)) for name, spec in self.foundations.items()),
        ]

    def model(self, name: str | None) -> UsableModel:
        """Return the model that Monte Carlo or thermodynamics use.

        Parameters
        ----------
        name
            Its name; None is the first model. Of several seeds it is the first one.
        """
        return next(one for one in self.usable if name in (None, one.name))


def plan_campaign(campaign: Campaign) -> CampaignPlan:
    """Return what a campaign does.

    Raises
    ------
    ValueError
        If a training set that grows cannot: its first set has no end points, a set adds nothing,
        or the test set that decides holds nothing but training structures. If two models would have
        one name.
    """
    planner = _Planner(campaign)
    plan = planner.plan
    by_use: dict[str, list[SetPlan]] = {"held-out": [], "training": []}
    for spec in campaign.structures:
        by_use[spec.use].append(planner.add_set(spec.set, spec.labels, spec.use))
    if by_use["training"] and campaign.model is not None:
        planner.add_own_model(campaign.model, by_use["training"])
    for entry in sorted(campaign.models, key=lambda one: bool(one.committee)):  # members first
        planner.add_model(entry)
    if campaign.grow is not None:
        planner.add_set(campaign.grow.sets[0], campaign.grow.labels, "grow, step 1")
    if plan.models or plan.foundations:
        plan.test_sets += [TestSetPlan(k, tuple(v), relaxed=True) for k, v in by_use.items() if v]
    for name, test_set in campaign.test_sets.items():
        one = planner.add_set(test_set.set, test_set.labels, name)
        plan.test_sets.append(TestSetPlan(name, (one,), test_set.relaxed))
    if campaign.grow is not None and campaign.model is not None:
        planner.add_growth(campaign.grow, campaign.model)
    if campaign.sqs is not None:
        plan.sqs = planner.add_set(*campaign.sqs, "SQS")
    _check_names([model.title for model in plan.usable])
    return plan


def _check_names(names: Sequence[str]) -> None:
    """Make sure that every model has a name of its own: others find it by that."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"models: two would be called {twice[0]!r}; rename one of them"
        raise ValueError(msg)


class _Planner:
    """A plan while it is put together."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign, self.plan = campaign, CampaignPlan()

    def add_set(self, expression: str, labels: LabelSpec | None, use: str) -> SetPlan:
        """Return a set that is labelled in a way, added to the plan if it is new."""
        spec = labels or self.campaign.labels
        alike = [one for one in self.plan.sets if one.expression == expression]
        for one in alike:
            if one.labels == spec:
                if use not in one.uses:
                    one.uses.append(use)
                return one
        number = f" ({len(alike) + 1})" if alike else ""
        self.plan.sets.append(self.build_set(expression, spec, use, f"{expression}{number}"))
        return self.plan.sets[-1]

    def build_set(self, expression: str, labels: LabelSpec, use: str, name: str) -> SetPlan:
        """Return a set of the campaign's alloy."""
        orderings = orderings_of(expression, self.campaign.alloy, self.campaign.seed)
        pure = any(o.is_end_point for o in orderings)
        return SetPlan(name, expression, labels, [use], tuple(o.id for o in orderings), pure)

    def add_own_model(self, model: ModelSpec, sets: Iterable[SetPlan]) -> None:
        """Add a campaign's own model, of the campaign's name, and its foundation beside it."""
        name, settings = self.campaign.name, self.campaign.own_training
        self.plan.models.append(ModelPlan(name, tuple(sets), model, settings))
        if model.pretrained:
            self.plan.foundations[model.title] = model

    def add_model(self, entry: ModelEntry) -> None:
        """Add a model of a study."""
        if entry.committee:
            self.add_committee(entry)
            return
        parent = entry.model or self.campaign.model
        assert parent is not None  # the campaign made sure
        if entry.set is None:
            self.plan.foundations[entry.name] = parent
            return
        one = self.add_set(entry.set, entry.labels, entry.name)
        settings = self.campaign.settings_of(entry)
        seeds = entry.seeds or [settings.seed]
        self.plan.models += [
            ModelPlan(
                entry.name,
                (one,),
                parent,
                settings.model_copy(update={"seed": seed}),
                several=len(seeds) > 1,
            )
            for seed in seeds
        ]

    def add_committee(self, entry: ModelEntry) -> None:
        """Add a committee of models that are there.

        Raises
        ------
        ValueError
            If it has one member only, or weights are to be fitted to frames that are not those of
            all members.
        """
        members = tuple(one for one in self.plan.models if one.name in entry.committee)
        if len(members) < 2:
            msg = (
                f"models: the committee {entry.name!r} has one member, {members[0].title}; name "
                "another model, or give this one seeds"
            )
            raise ValueError(msg)
        if entry.weights == "fitted" and len({one.sets for one in members}) > 1:
            msg = (
                f"models: the members of {entry.name!r} are trained on different sets, so there "
                "are no validation frames of all to fit weights to; write weights: equal"
            )
            raise ValueError(msg)
        self.plan.committees.append(CommitteePlan(entry.name, members, entry.weights))

    def add_growth(self, spec: GrowthSpec, model: ModelSpec) -> None:
        """Add a training set that grows; its first set and its test set are there already."""
        labels = spec.labels or self.campaign.labels
        steps = [
            self.build_set(s, labels, f"grow, step {k}", s) for k, s in enumerate(spec.sets, 1)
        ]
        if not steps[0].end_points:
            msg = (
                f"grow: the first set, {spec.sets[0]}, has no end points, which mixing energies "
                f"need; begin it with {self.campaign.alloy.to_alloy().end_point_set}+"
            )
            raise ValueError(msg)
        grown: set[str] = set()
        for one in steps:
            if not set(one.ids) - grown:
                msg = f"grow: {one.expression} adds no structure to the sets before it"
                raise ValueError(msg)
            grown |= set(one.ids)
        test_set = next(one for one in self.plan.test_sets if one.name == spec.test_set)
        [held] = test_set.sets
        if set(held.ids) <= grown:
            msg = (
                f"grow: every structure of {spec.test_set!r} is in the training sets, so that it "
                "tells no error; choose a test set of other structures"
            )
            raise ValueError(msg)
        first = self.add_set(spec.sets[0], spec.labels, "grow, step 1")
        beside = (
            one
            for one in self.plan.sets
            if one is not first and one.labels == labels and grown & set(one.ids)
        )
        seed, settings = self.campaign.seed, self.campaign.own_training
        seeds = [seed, seed + 1] if spec.seeds is None else spec.seeds
        trainings = [settings.model_copy(update={"seed": one}) for one in seeds]
        self.plan.growth = GrowthPlan(steps, first, tuple(beside), test_set, model, trainings, spec)
