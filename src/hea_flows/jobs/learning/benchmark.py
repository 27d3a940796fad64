"""Benchmark: a model's total and mixing energies against the reference's, test set by test set."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import Any, Literal

from jobflow import Maker

from hea_flows.alloy import stream
from hea_flows.alloy.errors import bias_interval, mae, mae_by_group, mae_interval
from hea_flows.config import BenchmarkSpec
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning.beyond import file_sha256, forgetting, keeps_zero, stability
from hea_flows.jobs.learning.evaluation import Evaluation
from hea_flows.jobs.learning.train import local_model
from hea_flows.jobs.reuse import identity, reuse_or
from hea_flows.potentials import family
from hea_flows.provenance import provenance
from hea_flows.schemas import (
    BenchmarkDoc,
    BenchmarkTable,
    DatasetDoc,
    ErrorSummary,
    ModelDoc,
    ModelSpec,
    ParityPoint,
    TestSetDoc,
)

_END_POINTS = {
    "fixed": "end points of the primitive cell, at the reference's relaxed geometry",
    "relaxed": "end points of the primitive cell, each relaxed by its own method",
}


@dataclass
class BenchmarkMaker(Maker):
    """Compare a foundation or a trained model with the labels of test sets.

    *Fixed*: the last reference frame of each structure, and the end points at the reference's
    relaxed geometry. *Relaxed*: structures whose reference relaxation converged, relaxed by the
    model from the reference's first geometry, and end points relaxed by the model too; all of them
    together, and those that fail are named with their reason. A structure of several test sets is
    evaluated once.

    Parameters
    ----------
    name
        Job name.
    benchmark
        What is compared.
    seed
        Seed of the bootstrap.
    title
        The campaign's name of a foundation; the document of a model has its own.
    reuse
        Whether a benchmark that is in the store already is taken: the same model file, labels and
        settings.
    """

    name: str = "benchmark"
    benchmark: BenchmarkSpec = field(default_factory=BenchmarkSpec)
    seed: int = 0
    title: str = ""
    reuse: bool = True

    @result_job(output_schema=BenchmarkDoc)
    def make(
        self,
        test_sets: list[TestSetDoc],
        foundation: ModelSpec | None = None,
        training: ModelDoc | None = None,
        datasets: list[DatasetDoc] | None = None,
    ) -> BenchmarkDoc:
        """Benchmark a foundation as it is, or the model of a document.

        Parameters
        ----------
        test_sets
            What it is compared with; all were labelled with the same settings.
        foundation
            A model by name or file.
        training, datasets
            A model that was trained, or a committee of such, and what it was trained on:
            structures that both hold are told.

        Raises
        ------
        ValueError
            Without a model or test sets, or for test sets of different settings.
        """
        if (training is None) == (foundation is None) or not test_sets:
            msg = "a benchmark needs test sets and a foundation model or the document of a model"
            raise ValueError(msg)
        if len({d.settings_id for d in test_sets}) > 1:
            ids = ", ".join(f"{d.name}: {d.settings_id} ({d.engine})" for d in test_sets)
            msg = f"test sets of different settings are never compared in one benchmark; got {ids}"
            raise ValueError(msg)
        given = training or foundation
        assert given is not None
        model = local_model(given)
        title = training.name if training else self.title or model.title
        trained = {key for dataset in datasets or () for key in dataset.n_frames}
        key = identity(
            model=model.content(),
            offsets=training.offsets if training else None,
            test_sets=[[d.name, d.members, d.checksum, d.relaxed] for d in test_sets],
            trained=sorted(trained),
            benchmark=self.benchmark.model_dump(exclude={"forgetting"}),
            forgetting=self.benchmark.forgetting and file_sha256(self.benchmark.forgetting),
            seed=self.seed,
        )
        sources = {"test_sets": test_sets, "training": training, "dataset": datasets}

        def compare() -> BenchmarkDoc:
            run = Evaluation(model, test_sets, training.offsets if training else None, trained)
            fixed = run.fixed()
            relaxed, failed = run.relaxed(self.benchmark) if self.benchmark.relaxed else ([], {})
            moves = family(model.family).relaxes  # others know decorations of the host alone
            return BenchmarkDoc(
                **provenance("torch", **sources),
                name=title,
                identity=key,
                model=model.model_copy(update={"path": None}) if training else model,
                role=training.role if training else "foundation",
                seed=training.seed if training else None,
                engine=test_sets[0].engine,
                settings_id=test_sets[0].settings_id,
                offsets=run.offsets,
                offsets_from="training frames" if training else "end points",
                test_sets={d.name: d.checksum for d in test_sets},
                tables=[
                    table
                    for d in test_sets
                    for table in (
                        self._table(d, fixed, "fixed", {}, run.new_frames(d)),
                        self._table(d, relaxed, "relaxed", failed) if d.relaxed else None,
                    )
                    if table is not None
                ],
                fixed=fixed,
                relaxed=relaxed,
                failed=failed,
                bootstrap_seed=self.seed,
                training_seconds=training.seconds if training else None,
                forgetting=forgetting(
                    model, self.benchmark.forgetting, fit_offsets=not keeps_zero(training)
                )
                if self.benchmark.forgetting and moves
                else None,
                stability=stability(model, test_sets[0], self.benchmark.stability, self.seed)
                if self.benchmark.stability and moves
                else [],
            )

        return reuse_or(compare, BenchmarkDoc, key, reuse=self.reuse, sources=sources, name=title)

    def _table(
        self,
        test_set: TestSetDoc,
        points: list[ParityPoint],
        geometry: Literal["fixed", "relaxed"],
        failed: dict[str, str],
        new_frames: ErrorSummary | None = None,
    ) -> BenchmarkTable | None:
        chosen = [p for p in points if p.test_set == test_set.name and p.n_components > 1]
        n_failed = len(failed.keys() & set(test_set.members))
        if not chosen and not n_failed:
            return None
        common: dict[str, Any] = {
            "test_set": test_set.name,
            "geometry": geometry,
            "n_failed": n_failed,
            "reference": _END_POINTS[geometry],
            "new_frames": new_frames,
        }
        if not chosen:
            return BenchmarkTable(
                **common,
                n=0,
                n_trained=0,
                total_mae_mev=nan,
                mixing_mae_mev=nan,
                mixing_mae_interval_mev=(nan, nan),
                new_mixing_mae_mev=None,
                by_components={},
            )
        model = [p.model_mixing_mev for p in chosen]
        reference = [p.reference_mixing_mev for p in chosen]
        interval = mae_interval(model, reference, stream(self.seed, "bootstrap"))
        bias = bias_interval(model, reference, stream(self.seed, "bootstrap"))
        groups = mae_by_group(model, reference, [str(p.n_components) for p in chosen])
        total = mae([p.model_energy for p in chosen], [p.reference_energy for p in chosen])
        new = [p for p in chosen if not p.trained]
        return BenchmarkTable(
            **common,
            n=len(chosen),
            n_trained=len(chosen) - len(new),
            total_mae_mev=1e3 * total,
            mixing_mae_mev=interval.mean,
            mixing_mae_interval_mev=(interval.low, interval.high),
            mixing_bias_mev=bias.mean,
            mixing_bias_interval_mev=(bias.low, bias.high),
            new_mixing_mae_mev=mae(
                [p.model_mixing_mev for p in new], [p.reference_mixing_mev for p in new]
            )
            if new
            else None,
            by_components={str(k): v for k, v in sorted(groups.items(), key=str)},
        )
