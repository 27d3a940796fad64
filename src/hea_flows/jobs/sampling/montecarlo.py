"""Monte Carlo with a trained model: every temperature and repeat of one alloy."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import CURRENT_JOB, Maker, Response
from numpy.typing import NDArray

from hea_flows.alloy.sampling import DecorationEnergies, Sampler, SamplerSettings, run_pilot
from hea_flows.alloy.thermodynamics import mixing_energies
from hea_flows.config import MonteCarloSpec
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning.train import local_model
from hea_flows.jobs.resume import identity, load_document, reuse_or
from hea_flows.jobs.sampling.kept_energies import KEPT_FILE, KeptEnergies
from hea_flows.jobs.sampling.run import SamplingRun, stored_ladder
from hea_flows.jobs.sampling.summary import (
    AveragedChain,
    chain_record,
    separation_record,
    temperature_records,
)
from hea_flows.potentials.lattice_energies import decoration_energies
from hea_flows.provenance import provenance
from hea_flows.runtime.continuation import continue_later
from hea_flows.runtime.locks import alone
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import (
    AlloySpec,
    ChainSeries,
    DatasetDoc,
    ExchangeLadder,
    LadderRecord,
    MonteCarloDoc,
    SamplingSettings,
    TrainingDoc,
)
from hea_flows.services.progress import say
from hea_flows.settings import get_settings


@dataclass
class MonteCarloMaker(Maker):
    """Sample the equimolar alloy at several temperatures.

    Energies are mixing energies against end points in the chains' own mode: at the same fixed
    lattice, or relaxed.

    Parameters
    ----------
    name
        Job name.
    monte_carlo
        Supercell, temperatures, runs, steps and mode.
    seed
        Seed of the initial decorations and of the chains.
    reuse
        Whether chains that are in the store already are taken: the same model, cell, settings and
        seed.
    """

    name: str = "monte carlo"
    monte_carlo: MonteCarloSpec = field(
        default_factory=lambda: MonteCarloSpec(temperatures=[400.0])
    )
    seed: int = 0
    reuse: bool = True

    @result_job(data=["series"], output_schema=MonteCarloDoc)
    def make(
        self, training: TrainingDoc | str, dataset: DatasetDoc | str, alloy: AlloySpec
    ) -> MonteCarloDoc | Response[MonteCarloDoc]:
        """Run all chains; an interrupted job goes on with the same trajectories.

        Parameters
        ----------
        training, dataset
            The model and what it was trained on, or the uuids of the jobs that made them.
        alloy
            The host.
        """
        model = load_document(TrainingDoc, training)
        frames = load_document(DatasetDoc, dataset)
        try:
            found = self._sample(model, frames, alloy)
        except OutOfTimeError:
            found = None
        if found is not None:
            return found
        return continue_later(self, model.uuid, frames.uuid, alloy)

    def _sample(
        self, training: TrainingDoc, dataset: DatasetDoc, alloy: AlloySpec
    ) -> MonteCarloDoc | None:
        """Return the document; None if the hours of this job were over before the end."""
        spec, host = self.monte_carlo, alloy.to_alloy()
        supercell, _ = spec.cell(host)
        a = mean_lattice_constant(dataset)
        chains = identity(
            model=training.model_file.sha256,
            dtype=training.model.dtype,
            alloy=alloy,
            supercell=supercell,
            lattice_constant=a,
            mode=spec.mode,
            settings=spec.sampling.model_copy(update={"average_from": None}),
            seed=self.seed,
        )
        key = identity(chains=chains, average_from=spec.average_from)
        folder = self._folder(chains)
        sources = {"training": training, "dataset": dataset}

        def sample() -> MonteCarloDoc | None:
            model = local_model(training)
            energies = decoration_energies(
                model,
                host,
                supercell,
                a,
                mode=spec.mode,
                fmax=spec.fmax,
                max_steps=spec.max_steps,
                device=get_settings().device,
            )
            found = sampled(energies, alloy, spec, self.seed, folder, chains)
            if found is None:
                return None
            return MonteCarloDoc(
                **provenance("torch", "trainstation", **sources),
                **found,
                identity=key,
                model=model.model_copy(update={"path": None}),
                lattice_constant=a,
            )

        with alone(folder):  # what waited finds the other's chains, stored or in the folder
            return reuse_or(sample, MonteCarloDoc, key, reuse=self.reuse, sources=sources)

    def _folder(self, key: str) -> Path:
        """Return where the run's state is kept: where nothing is reused, also no finished run."""
        folder = get_settings().data_dir / "sampling"
        if self.reuse or CURRENT_JOB.job is None:
            return folder / key
        return folder / f"{key}-{CURRENT_JOB.job.uuid}"


def sampled(
    energies: DecorationEnergies,
    alloy: AlloySpec,
    spec: MonteCarloSpec,
    seed: int,
    folder: Path,
    key: str,
) -> dict[str, Any] | None:
    """Run the chains of an equimolar alloy to their end and return what they decide of a document.

    Parameters
    ----------
    energies
        Energies of decorations of the supercell.
    alloy, spec, seed
        The host, what is sampled, and the seed.
    folder, key
        Where the state of the run is kept, and what it depends on; see `SamplingRun`.

    Returns
    -------
    fields
        Of `MonteCarloDoc`; None if `spec.max_hours` were over before the end.

    Raises
    ------
    OutOfTimeError
        If the batch job ends before another step would.
    """
    host = alloy.to_alloy()
    supercell, counts = spec.cell(host)
    settings = spec.sampling
    codes = reference_codes(counts, settings.random, seed)
    kept = KeptEnergies(energies, folder / KEPT_FILE)
    begun, found = time.monotonic(), None
    if isinstance(settings.temperatures, ExchangeLadder):
        found = stored_ladder(folder, key) or chosen_ladder(kept, alloy, spec, seed)
    sampler = Sampler(energies, host, supercell, counts, sampler_settings(settings, found), seed)
    run = SamplingRun(
        sampler,
        folder,
        key,
        lambda: kept.energies(codes) / sampler.n_units,
        tell=say,
        ladder=found,
        seconds=time.monotonic() - begun,
    )
    run.resume()
    if not run.advance(spec.max_hours):
        return None
    assert run.references is not None
    ends = dict(zip(host.elements, run.references.tolist(), strict=False))
    # Composition is fixed, so mixing energies differ from energies by one constant.
    shift = float(mixing_energies([0.0], [counts], ends)[0])
    random = run.references[len(ends) :] + shift
    forbidden = sampler.forbidden + int(np.isinf(random).sum())
    random = random[np.isfinite(random)]
    if not np.isfinite(shift) or len(random) < 2:
        msg = "end members or random decorations did not relax; raise max_steps or fmax"
        raise ArithmeticError(msg)
    chains = sampler.chains()
    averaged = [AveragedChain.of(c, host.elements, settings.average_from, shift) for c in chains]
    averages = temperature_records(averaged, random)
    rng = np.random.default_rng([seed, 2])
    series = ChainSeries.collect([c.energies for c in chains], [c.counts for c in chains])
    return {
        "mode": spec.mode,
        "alloy": alloy,
        "supercell": supercell,
        "seed": seed,
        "settings": settings,
        "ladder": found,
        "end_points": ends,
        "random_mev": 1e3 * float(random.mean()),
        "random_error_mev": 1e3 * float(random.std(ddof=1) / np.sqrt(len(random))),
        "chains": [chain_record(a) for a in averaged],
        "averages": averages,
        "separation": separation_record(averages, host.elements, rng),
        "series": series.to_file(),
        "evaluations": sampler.evaluations + kept.evaluations,
        "forbidden": forbidden + (found.forbidden if found else 0),
        "seconds": run.seconds,
    }


def chosen_ladder(
    energies: KeptEnergies, alloy: AlloySpec, spec: MonteCarloSpec, seed: int
) -> LadderRecord:
    """Run the pilot that chooses temperatures whose neighbours exchange at the rate asked for."""
    asked, host = spec.temperatures, alloy.to_alloy()
    assert isinstance(asked, ExchangeLadder)
    say(f"a pilot run chooses temperatures from {asked.lowest:g} to {asked.highest:g} K")
    found = run_pilot(
        energies,
        host,
        *spec.cell(host),
        asked.lowest,
        asked.highest,
        asked.acceptance,
        np.random.default_rng([seed, 3]),
    )
    return LadderRecord(
        temperatures=list(found.temperatures),
        evaluations=energies.evaluations,
        forbidden=found.forbidden,
        spread_mev=1e3 * found.spread,
    )


def sampler_settings(
    settings: SamplingSettings, ladder: LadderRecord | None = None
) -> SamplerSettings:
    """Return settings as the sampler takes them, with the temperatures of a ladder if asked for."""
    temperatures = ladder.temperatures if ladder else settings.temperatures
    if isinstance(temperatures, ExchangeLadder):
        msg = f"the temperatures of {temperatures} are not chosen yet"
        raise TypeError(msg)
    return SamplerSettings(
        temperatures=tuple(temperatures),
        runs=settings.runs,
        method=settings.method,
        steps=settings.steps,
        burn_in=settings.burn_in,
        exchange=settings.exchange,
        shells=tuple(settings.shells),
    )


def reference_codes(counts: dict[str, int], random: int, seed: int) -> NDArray[np.int64]:
    """Return the pure decorations, by element, then random ones of a composition.

    Returns
    -------
    codes
        Positions in the elements of `counts`, shape (n + `random`, n_sites) for n elements.
    """
    n_sites, rng = sum(counts.values()), np.random.default_rng([seed, 1])
    pure = np.repeat(np.arange(len(counts))[:, None], n_sites, axis=1)
    filling = np.repeat(np.arange(len(counts)), list(counts.values()))
    return np.concatenate([pure, [rng.permutation(filling) for _ in range(random)]])


def mean_lattice_constant(dataset: DatasetDoc) -> float:
    """Return the mean lattice constant of the reference's relaxed end points (Å).

    For a layer from the area per unit, for bulk from the volume, in proportion to the host's
    tabulated lattice constants; so any cell choice gives the same.
    """
    alloy = dataset.alloy.to_alloy()
    values = []
    for element, key in dataset.end_points.items():
        cell = np.array(dataset.trajectories[key].cells[-1])
        ideal = alloy.primitive(element).cell.array
        size = 2 if alloy.host.layer else 3
        strain = np.linalg.det(cell[:size, :size]) / np.linalg.det(ideal[:size, :size])
        values.append(alloy.lattice_constant(element) * float(strain) ** (1 / size))
    return float(np.mean(values))
