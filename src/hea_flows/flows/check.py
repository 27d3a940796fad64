"""Everything that is wrong with a campaign file, told before anything runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from hea_flows.alloy.lattice import Ordering
from hea_flows.config import (
    Campaign,
    CampaignPlan,
    SetPlan,
    orderings_of,
    plan_campaign,
    read_campaign,
    rounded_compositions,
    validation_lines,
)
from hea_flows.flows.campaign import CampaignMaker
from hea_flows.flows.requirements import (
    check_monte_carlo,
    check_phase_diagram,
    check_thermodynamics,
    checked_labels,
    checked_learning,
    checked_model,
)
from hea_flows.jobs.labelling import LabelsMaker
from hea_flows.potentials import family
from hea_flows.provenance import settings_id
from hea_flows.reference import extra_frames, find_card, read_card
from hea_flows.schemas import ModelSpec, TrainingSettings

_PACKAGE = Path(__file__).parents[1]


class CampaignRefusedError(ValueError):
    """A campaign that would fail."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Parameters
    ----------
    kind
        ``error``: it would fail. ``here``: it would fail on this machine, while workers of another
        one may have what is missing. ``warning``: it works, perhaps not as intended. ``note``: what
        its author may want to know.
    part
        Part of the campaign.
    text
        What is wrong, what is accepted, what to do.
    """

    kind: Literal["error", "here", "warning", "note"]
    part: str
    text: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.part}: {self.text}" if self.part else self.text


@dataclass
class CampaignCheck:
    """What a check of a campaign file found.

    Parameters
    ----------
    file, text
        The file, and its content.
    campaign
        What it says; None if it cannot be read as a campaign.
    findings
        Errors first.
    """

    file: Path
    text: str = ""
    campaign: Campaign | None = None
    findings: list[Finding] = field(default_factory=list)

    def refused(self, *, here: bool) -> list[Finding]:
        """Return what keeps the campaign from running; `here` counts what this machine lacks."""
        kinds = ("error", "here") if here else ("error",)
        return [one for one in self.findings if one.kind in kinds]

    def require(self, *, here: bool) -> tuple[Campaign, str]:
        """Return the campaign and its text.

        Parameters
        ----------
        here
            Whether its workers run on this machine.

        Raises
        ------
        CampaignRefusedError
            If it would fail; the message is one line, with the first reason.
        """
        if refused := self.refused(here=here):
            others = len(refused) - 1
            more = f" (and {others} more, see hea-flows check {self.file})" if others else ""
            msg = f"{self.file}: {refused[0]}{more}"
            raise CampaignRefusedError(msg)
        assert self.campaign is not None
        return self.campaign, self.text


def check_campaign(file: Path) -> CampaignCheck:
    """Return everything that is known to be wrong with a campaign file.

    Sets are built, but nothing else is computed, and nothing is downloaded or submitted.

    Parameters
    ----------
    file
        The campaign file.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is not YAML.
    """
    try:
        campaign, text = read_campaign(file)
    except ValidationError as error:
        return CampaignCheck(
            file, findings=[Finding("error", "", line) for line in validation_lines(error)]
        )
    checker = _Checker(campaign)
    checker.run()
    rank = ("error", "here", "warning", "note")
    findings = sorted(dict.fromkeys(checker.findings), key=lambda one: rank.index(one.kind))
    return CampaignCheck(file, text, campaign, findings)


class _Checker:
    """The findings of a campaign while they are collected."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign, self.alloy = campaign, campaign.alloy
        self.findings: list[Finding] = []

    @contextmanager
    def collecting(self, part: str) -> Iterator[None]:
        """Make findings of what is raised and of what is warned of."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            try:
                yield
            except (ValueError, OSError, ModuleNotFoundError) as error:
                self.add("error", part, str(error))
        for one in told:
            if _PACKAGE in Path(one.filename).parents:  # others warn of what is not the campaign's
                self.add("warning", part, str(one.message))

    def add(self, kind: Literal["error", "here", "warning", "note"], part: str, text: str) -> None:
        self.findings.append(Finding(kind, part, " ".join(text.split())))

    def run(self) -> None:
        """Look at every part by itself, then at the whole."""
        campaign = self.campaign
        for expression in dict.fromkeys(campaign.expressions()):
            with self.collecting("sets"):
                orderings_of(expression, self.alloy, campaign.seed)
        if (extra := campaign.dataset.extra_frames) is not None:
            with self.collecting("dataset"):
                extra_frames(find_card(extra))
        for spec in campaign.label_specs():
            with self.collecting(f"labels by {spec.engine}"):
                self.labels(checked_labels(spec, self.alloy))
        for name, model, settings in self.models():
            with self.collecting(f"model {name}"):
                if settings is None:
                    checked_model(model)
                else:
                    checked_learning(model, settings)
                self.weights(model)
        self.sections()
        if any(one.kind == "error" for one in self.findings):
            return
        with self.collecting(""):
            CampaignMaker.from_campaign(campaign)
            self.plan(plan_campaign(campaign))
        for part, text in rounded_compositions(
            self.alloy.to_alloy(),
            campaign.expressions(),
            campaign.monte_carlo,
            campaign.thermodynamics,
        ):
            self.add("note", part, f"composition {text}")

    def sections(self) -> None:
        """Look at what is done with the models."""
        campaign = self.campaign
        if campaign.monte_carlo is not None:
            with self.collecting("monte_carlo"):
                check_monte_carlo(campaign.monte_carlo, self.alloy)
        if campaign.thermodynamics is not None:
            with self.collecting("thermodynamics"):
                check_thermodynamics(campaign.thermodynamics, campaign)
        if campaign.phase_diagram is not None:
            with self.collecting("phase_diagram"):
                check_phase_diagram(campaign.phase_diagram, self.alloy)

    def labels(self, maker: LabelsMaker) -> None:
        """Look for what an engine needs on this machine."""
        engine, start = maker.reference, maker.labels.start
        for text in engine.missing(self.alloy):
            self.add("here", f"labels by {maker.labels.engine}", text)
        for model in (engine.potential, None if start is None else start.model):
            if model is not None:
                self.weights(model)

    def models(self) -> Iterator[tuple[str, ModelSpec, TrainingSettings | None]]:
        """Yield name, model and settings of what is trained or compared; no settings: as it is."""
        campaign = self.campaign
        if campaign.model is not None:
            own = campaign.name in campaign.trained or campaign.grow is not None
            yield campaign.model.family, campaign.model, campaign.own_training if own else None
        for entry in campaign.models:
            if entry.committee:
                continue
            parent = entry.model or campaign.model
            assert parent is not None  # the campaign made sure
            trained = campaign.settings_of(entry) if entry.set is not None else None
            yield entry.name, parent, trained

    def weights(self, model: ModelSpec) -> None:
        """Look for a foundation's file, and for its licence."""
        if model.pretrained:
            licence = family(model.family).licence(model)
            text = "its licence is not known here; write it down, model: {…, licence: …}"
            self.add("note", f"model {model.title}", f"licence: {licence}" if licence else text)
        if (address := family(model.family).missing(model)) is not None:
            text = f"it is not in the cache; a worker will download {address}"
            self.add("warning", f"model {model.title}", text)

    def plan(self, plan: CampaignPlan) -> None:
        """Look for labels that cannot be, and for what datasets and test sets need."""
        sets = [*plan.sets, *(plan.growth.steps[1:] if plan.growth else ())]
        labelled = {one: self.labelled(one) for one in sets}
        used = bool(plan.models or plan.foundations)
        datasets = {tuple(model.sets): model.sets for model in plan.models}
        if not datasets and plan.training_sets:
            datasets = {plan.training_sets: plan.training_sets}
        for own in datasets.values():
            part = f"training on {' + '.join(one.expression for one in own)}"
            usable = {o.id: o for one in own for o in labelled[one]}
            if not usable:
                self.add("error", part, "no structure has a label; nothing to train on")
            else:
                self.end_points(part, usable.values(), used=used)
            self.one_rule(part, own, self.campaign.dataset.extra_frames)
            self.max_missing(part, len({key for one in own for key in one.ids} - set(usable)))
        for test_set in plan.test_sets:
            part = f"test set {test_set.name}"
            sources = plan.label_sources(test_set.sets, end_points=True)
            self.end_points(part, (o for one in sources for o in labelled[one]), used=used)
            self.one_rule(part, test_set.sets)

    def labelled(self, one: SetPlan) -> list[Ordering]:
        """Return the structures of a set that may have a label; tell of those that have none."""
        orderings = orderings_of(one.expression, self.alloy, self.campaign.seed)
        absent = LabelsMaker(labels=one.labels).reference.unlabelled(orderings)
        if absent:
            self.add(
                "warning",
                f"set {one.name}",
                f"{one.labels.engine} has no label of {len(absent)} of its {len(orderings)} "
                f"structures, first {absent[0].formula}; they are left out",
            )
        gone = {ordering.id for ordering in absent}
        return [ordering for ordering in orderings if ordering.id not in gone]

    def end_points(self, part: str, orderings: Iterable[Ordering], *, used: bool) -> None:
        """Make sure that mixing energies can be counted from end members."""
        ends = {ordering.species[0] for ordering in orderings if ordering.is_end_point}
        if lacking := [e for e in self.alloy.elements if e not in ends]:
            text = (
                f"no label of the end point of {', '.join(lacking)}; mixing energies need all of "
                f"them, add {self.alloy.to_alloy().end_point_set} to the training sets"
            )
            self.add("error" if used else "warning", part, text)

    def one_rule(self, part: str, sets: Sequence[SetPlan], extra: str | None = None) -> None:
        """Make sure that labels of one dataset can be compared, those of extra frames too."""
        ids: dict[str, str] = {}
        if extra is not None:
            ids[read_card(find_card(extra)).settings_id] = "extra frames"
        for one in sets:
            reference = LabelsMaker(labels=one.labels).reference
            model = reference.potential
            if model is None or family(model.family).missing(model) is None:
                with suppress(OSError):  # a model that only `resolve` knows how to find
                    ids.setdefault(settings_id(reference.rule()), one.labels.engine)
        if len(ids) > 1:
            found = ", ".join(f"{key} ({engine})" for key, engine in ids.items())
            self.add("error", part, f"labels of different settings never mix; found {found}")

    def max_missing(self, part: str, missing: int) -> None:
        """Make sure that no more labels are missing than the campaign allows."""
        allowed = self.campaign.dataset.max_missing
        if allowed is not None and missing > allowed:
            text = f"{missing} structures have no label, dataset.max_missing allows {allowed}"
            self.add("error", part, text)
