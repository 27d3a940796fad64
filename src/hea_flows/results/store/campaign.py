"""The documents of a campaign, by kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Literal, get_args, get_type_hints

from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    CampaignDoc,
    CommitteeDoc,
    DatasetDoc,
    Document,
    GrowthDoc,
    LabelDoc,
    ModelSpec,
    MonteCarloDoc,
    PhaseDiagramDoc,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
    TrainingDoc,
    UnreadableDocumentError,
)


@dataclass(frozen=True)
class CampaignDocuments:
    """The documents of one campaign; any may be missing, some by name and for a known reason.

    Where several documents of a kind are given, figures show the newest one that fits and tables
    show all. `others` holds kinds that have no list of their own, `unreadable` why documents were
    left out.
    """

    campaign: CampaignDoc | None = None
    structures: list[StructuresDoc] = field(default_factory=list)
    labels: list[LabelDoc] = field(default_factory=list)
    datasets: list[DatasetDoc] = field(default_factory=list)
    test_sets: list[TestSetDoc] = field(default_factory=list)
    trainings: list[TrainingDoc] = field(default_factory=list)
    benchmarks: list[BenchmarkDoc] = field(default_factory=list)
    committees: list[CommitteeDoc] = field(default_factory=list)
    growth: list[GrowthDoc] = field(default_factory=list)
    montecarlo: list[MonteCarloDoc] = field(default_factory=list)
    thermodynamics: list[ThermodynamicsDoc] = field(default_factory=list)
    phase_diagrams: list[PhaseDiagramDoc] = field(default_factory=list)
    others: list[Document] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    unreadable: list[UnreadableDocumentError] = field(default_factory=list)

    @classmethod
    def from_documents(cls, documents: Iterable[Document]) -> CampaignDocuments:
        """Sort documents by kind, oldest first; the newest campaign file counts, reports do not."""
        groups: dict[str, list[Document]] = {name: [] for name in _classes().values()}
        for document in sorted(documents, key=lambda d: (d.created_at, d.uuid)):
            if document.kind != "report":
                groups[_classes().get(type(document), "others")].append(document)
        campaigns = groups.pop("campaign")
        return cls(campaign=campaigns[-1] if campaigns else None, **groups)  # type: ignore[arg-type]

    @property
    def all(self) -> list[Document]:
        """All documents, in the order of the work."""
        lists = (getattr(self, name) for name in _classes().values() if name != "campaign")
        return [*([self.campaign] if self.campaign else []), *(d for group in lists for d in group)]

    @property
    def alloy(self) -> AlloySpec | None:
        """The alloy of the newest dataset, test set or structure set."""
        for documents in (self.datasets, self.test_sets, self.structures):
            if documents:
                return documents[-1].alloy
        return None

    @property
    def headline_thermodynamics(self) -> ThermodynamicsDoc | None:
        """The newest thermodynamics of relaxed energies, else the newest of any."""
        relaxed = [t for t in self.thermodynamics if t.mode == "relaxed"]
        pool = relaxed or self.thermodynamics
        return pool[-1] if pool else None

    def benchmark(self, role: Literal["foundation", "fine-tuned"]) -> BenchmarkDoc | None:
        """Return the benchmark of a role: of the campaign's own model, else the newest.

        The foundation is the fine-tuned one's parent. A model from scratch counts as fine-tuned
        where there is no other. Models of a study and of growth are no headline where the campaign
        trains a model of its own, in whichever order they are finished.

        Where the fine-tuned model's parent or settings id are known, a foundation benchmark of
        another model or another reference is not taken for it.
        """
        pool = [b for b in self.benchmarks if b.role == role]
        if role == "fine-tuned" and not pool:
            pool = [b for b in self.benchmarks if b.role == "from scratch"]
        if role == "fine-tuned" and self.campaign is not None:
            pool = [b for b in pool if b.name == self.campaign.name] or pool
        if role == "foundation" and (tuned := self.benchmark("fine-tuned")):
            pool = [b for b in pool if b.settings_id == tuned.settings_id]
            if parent := self.parent_of(tuned.model):
                pool = [b for b in pool if _same_model(b.model, parent)]
        return pool[-1] if pool else None

    def parent_of(self, model: ModelSpec) -> ModelSpec | None:
        """Return the foundation that a model was fine-tuned from, if its document is here."""
        training = self.training_of(model)
        return training.parent if training is not None else None

    def training_of(self, model: ModelSpec) -> TrainingDoc | None:
        """Return the newest training that made a model."""
        for doc in reversed(self.trainings):
            digest = doc.model.checksum or doc.model_file.sha256
            if _same_model(doc.model.model_copy(update={"sha256": digest}), model):
                return doc
        return None

    @property
    def headline_training(self) -> TrainingDoc | None:
        """The training of the model whose errors are the headline, else the campaign's own.

        The newest where the campaign trains none of its own, in whichever order they end.
        """
        tuned = self.benchmark("fine-tuned")
        if tuned and (training := self.training_of(tuned.model)):
            return training
        own = [t for t in self.trainings if self.campaign and t.name == self.campaign.name]
        pool = own or self.trainings
        return pool[-1] if pool else None

    @property
    def headline_dataset(self) -> DatasetDoc | None:
        """What the model of the headline was trained on, else the newest dataset."""
        training = self.headline_training
        checksum = training and training.dataset_checksum
        pool = [d for d in self.datasets if d.checksum == checksum] or self.datasets
        return pool[-1] if pool else None


@cache
def _classes() -> dict[type[Document], str]:
    """Return the fields of `CampaignDocuments` by the class they hold, in their order."""
    hints = get_type_hints(CampaignDocuments)
    names = (f.name for f in fields(CampaignDocuments) if f.name not in {"missing", "unreadable"})
    return {get_args(hints[name])[0]: name for name in names}


def _same_model(a: ModelSpec, b: ModelSpec) -> bool:
    if a.checksum and b.checksum:
        return a.checksum == b.checksum
    return (a.family, a.name, a.path) == (b.family, b.name, b.path)
