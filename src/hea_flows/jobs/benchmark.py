"""Benchmark: a model's total and mixing energies against the reference's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from ase import Atoms
from jobflow import Maker, job

from hea_flows.alloy.metrics import mae, mae_by_group, mae_interval
from hea_flows.alloy.mixing import apply_offsets, count_matrix, mixing_energies
from hea_flows.config import BenchmarkSpec
from hea_flows.engines.batched_relaxation import evaluator, relax_many
from hea_flows.engines.registry import family
from hea_flows.jobs.dataset import split_atoms
from hea_flows.jobs.finetune import element_offsets, local_model
from hea_flows.schemas import (
    BenchmarkDoc,
    BenchmarkTable,
    DatasetDoc,
    FineTuneDoc,
    ModelSpec,
    ParityPoint,
)
from hea_flows.settings import get_settings
from hea_flows.stamp import stamp

_END_POINTS = {
    "fixed": "end points of the primitive cell, at the reference's relaxed geometry",
    "relaxed": "end points of the primitive cell, each relaxed by its own method",
}


@dataclass
class BenchmarkMaker(Maker):
    """Compare a foundation or a fine-tuned model with the labels of a dataset.

    *Fixed*: the last reference frame of each structure, and the end points at the reference's
    relaxed geometry. *Relaxed*: structures whose reference relaxation converged, relaxed by the
    model from the reference's first geometry, and end points relaxed by the model too; all of them
    together, and those that fail are named with their reason.

    Parameters
    ----------
    name
        Job name.
    benchmark
        What is compared.
    seed
        Seed of the bootstrap.
    """

    name: str = "benchmark"
    benchmark: BenchmarkSpec = field(default_factory=BenchmarkSpec)
    seed: int = 0

    @job(output_schema=BenchmarkDoc)
    def make(
        self,
        dataset: DatasetDoc,
        foundation: ModelSpec | None = None,
        finetune: FineTuneDoc | None = None,
    ) -> BenchmarkDoc:
        """Benchmark the foundation, or the model of a fine-tuning document if one is given."""
        if finetune is not None:
            model, offsets = local_model(finetune), finetune.offsets
        elif foundation is not None:
            model = foundation
            offsets = element_offsets(model, split_atoms(dataset, dataset.train))
        else:
            msg = "a benchmark needs a foundation model or a fine-tuning document"
            raise ValueError(msg)
        frames = {key: t.to_frames() for key, t in dataset.trajectories.items()}
        last = {key: f[-1] for key, f in frames.items()}
        predictions = family(model.family).evaluate(
            model, list(last.values()), device=get_settings().device
        )
        fixed = _parity(
            dataset,
            reference={k: float(f.calc.results["energy"]) for k, f in last.items()},
            predicted=dict(zip(last, (p.energy for p in predictions), strict=True)),
            offsets=offsets,
        )
        relaxed: list[ParityPoint] = []
        failed: dict[str, str] = {}
        if self.benchmark.relaxed:
            energies, failed = self._relax(model, dataset, frames)
            relaxed = _parity(
                dataset,
                reference={k: float(last[k].calc.results["energy"]) for k in energies},
                predicted=energies,
                offsets=offsets,
            )
        tables = [
            *self._tables(fixed, "fixed"),
            *self._tables(relaxed, "relaxed"),
        ]
        return BenchmarkDoc(
            **stamp("torch", dataset=dataset, finetune=finetune),
            model=model.model_copy(update={"path": None}) if finetune else model,
            role="foundation" if finetune is None else "fine-tuned",
            settings_id=dataset.settings_id,
            offsets=offsets,
            tables=tables,
            fixed=fixed,
            relaxed=relaxed,
            failed=failed,
            bootstrap_seed=self.seed,
        )

    def _relax(
        self, model: ModelSpec, dataset: DatasetDoc, frames: dict[str, list[Atoms]]
    ) -> tuple[dict[str, float], dict[str, str]]:
        """Relax every structure whose reference converged; return energies and failures."""
        chosen = [k for k in frames if dataset.converged[k] and len(frames[k]) > 1]
        keys = list(dict.fromkeys([*dataset.end_points.values(), *chosen]))
        outcomes = relax_many(
            evaluator(model, device=get_settings().device),
            [frames[key][0] for key in keys],
            fmax=self.benchmark.fmax,
            max_steps=self.benchmark.max_steps,
        )
        energies: dict[str, float] = {}
        failed: dict[str, str] = {}
        for key, outcome in zip(keys, outcomes, strict=True):
            if outcome.converged:
                energies[key] = float(outcome.atoms.get_potential_energy())
            else:
                failed[key] = outcome.reason
        if lost := [e for e, k in dataset.end_points.items() if k in failed]:
            # Without its end points no mixing energy can be told; the fixed part stands.
            failed |= {k: f"end point of {', '.join(lost)} did not relax" for k in energies}
            energies = {}
        return energies, failed

    def _tables(
        self, points: list[ParityPoint], geometry: Literal["fixed", "relaxed"]
    ) -> list[BenchmarkTable]:
        tables = []
        parts: tuple[Literal["held-out", "training"], ...] = ("held-out", "training")
        for part in parts:
            chosen = [p for p in points if p.part == part and p.n_components > 1]
            if not chosen:
                continue
            model = [p.model_mixing_mev for p in chosen]
            reference = [p.reference_mixing_mev for p in chosen]
            interval = mae_interval(model, reference, np.random.default_rng(self.seed))
            groups = mae_by_group(model, reference, [str(p.n_components) for p in chosen])
            total = mae([p.model_energy for p in chosen], [p.reference_energy for p in chosen])
            tables.append(
                BenchmarkTable(
                    part=part,
                    geometry=geometry,
                    n=len(chosen),
                    total_mae_mev=1e3 * total,
                    mixing_mae_mev=interval.mae,
                    mixing_mae_interval_mev=(interval.low, interval.high),
                    by_components={str(k): v for k, v in groups.items()},
                    reference=_END_POINTS[geometry],
                )
            )
        return tables


def _parity(
    dataset: DatasetDoc,
    *,
    reference: dict[str, float],
    predicted: dict[str, float],
    offsets: dict[str, float],
) -> list[ParityPoint]:
    """Return one point per structure that both know; offsets go to the model's total energies."""
    if not predicted:
        return []
    keys = list(predicted)
    counts = [dataset.structures[k].counts for k in keys]
    pure = {e: reference[k] for e, k in dataset.end_points.items()}
    model_pure = {e: predicted[k] for e, k in dataset.end_points.items()}
    mixing = 1e3 * mixing_energies([reference[k] for k in keys], counts, pure)
    model_mixing = 1e3 * mixing_energies([predicted[k] for k in keys], counts, model_pure)
    elements = sorted(offsets)
    atoms = [{e: dataset.trajectories[k].symbols.count(e) for e in elements} for k in keys]
    total = apply_offsets(
        [predicted[k] for k in keys], count_matrix(atoms, elements), elements, offsets
    )
    held_out = set(dataset.held_out)
    points = []
    for i, key in enumerate(keys):
        entry = dataset.structures[key]
        units = len(entry.species)
        points.append(
            ParityPoint(
                structure_id=key,
                formula=entry.formula,
                n_components=len(entry.counts),
                part="held-out" if key in held_out else "training",
                reference_energy=reference[key] / units,
                model_energy=float(total[i]) / units,
                reference_mixing_mev=float(mixing[i]),
                model_mixing_mev=float(model_mixing[i]),
            )
        )
    return points
