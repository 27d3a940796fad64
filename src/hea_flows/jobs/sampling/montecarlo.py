"""Monte Carlo with a model: every temperature and repeat of one alloy."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import Maker, Response

from hea_flows.alloy import stream
from hea_flows.alloy.lattice import mean_lattice_constant
from hea_flows.alloy.sampling import (
    AveragedChain,
    Canonical,
    ChainSummary,
    DecorationEnergies,
    ExchangeLadder,
    Sampler,
    reference_codes,
    run_pilot,
    separation_of,
    summarise_temperatures,
)
from hea_flows.alloy.thermodynamics import mixing_energies
from hea_flows.config import MonteCarloSpec
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning import local_model
from hea_flows.jobs.reuse import identity, reuse_or
from hea_flows.jobs.sampling.energy_cache import CachedEnergies, EnergyCache
from hea_flows.jobs.sampling.run import (
    SamplingRun,
    relaxation_summary,
    run_folder,
    sample_or_continue,
    stored_ladder,
)
from hea_flows.potentials import RelaxedDecorations, decoration_energies
from hea_flows.provenance import provenance
from hea_flows.runtime import alone
from hea_flows.schemas import (
    AlloySpec,
    ChainSeries,
    DatasetDoc,
    LabelledDoc,
    ModelDoc,
    ModelSpec,
    MonteCarloDoc,
    TestSetDoc,
)
from hea_flows.services import say
from hea_flows.settings import get_settings

#: File of the energies of pilot run and references, in the folder of a run.
ENERGIES_FILE = "energies.json"


@dataclass
class MonteCarloMaker(Maker):
    """Sample the alloy at its composition, at several temperatures.

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
        Whether to take stored chains of the same model, cell, settings and seed.
    """

    name: str = "monte carlo"
    monte_carlo: MonteCarloSpec = field(
        default_factory=lambda: MonteCarloSpec(temperatures=[400.0])
    )
    seed: int = 0
    reuse: bool = True

    @result_job(data=MonteCarloDoc.in_store(), output_schema=MonteCarloDoc)
    def make(
        self,
        model: ModelDoc | ModelSpec | str,
        labels: DatasetDoc | TestSetDoc | str,
        alloy: AlloySpec,
    ) -> MonteCarloDoc | Response[MonteCarloDoc]:
        """Run all chains; an interrupted job goes on with the same trajectories.

        Documents are given, or by the uuids of the jobs that made them.

        Parameters
        ----------
        model
            A model that was trained, a committee, or a foundation as it is.
        labels
            Labels of the end points, from which the lattice constant comes.
        alloy
            The host.
        """
        return sample_or_continue(self, self._sample, model, labels, alloy)

    def _sample(
        self, source: ModelDoc | ModelSpec, labels: LabelledDoc, alloy: AlloySpec
    ) -> MonteCarloDoc | None:
        """Return the document; None if the hours of this job were over before the end."""
        spec, host = self.monte_carlo, alloy.to_alloy()
        supercell, counts = spec.cell(host)
        shares = {e: n / sum(counts.values()) for e, n in counts.items()}
        a = mean_lattice_constant(replace(host, composition=shares), labels.end_point_cells)
        model = local_model(source)
        chains = identity(
            model=model.content(),
            alloy=alloy.any_composition,
            counts=counts,
            supercell=supercell,
            lattice_constant=a,
            mode=spec.mode,
            settings=spec.sampling.model_copy(update={"average_from": None}),
            seed=self.seed,
        )
        key = identity(chains=chains, average_from=spec.average_from)
        folder = run_folder(chains, reuse=self.reuse)
        training = None if isinstance(source, ModelSpec) else source
        sources = {"training": training, "dataset": labels}

        def sample() -> MonteCarloDoc | None:
            energies = decoration_energies(
                model,
                host,
                supercell,
                a,
                mode=spec.mode,
                error=spec.largest_error,
                max_steps=spec.max_steps,
                device=get_settings().device,
            )
            fields = run_chains(energies, alloy, spec, self.seed, folder, chains)
            if fields is None:
                return None
            return MonteCarloDoc(
                **provenance("torch", "trainstation", **sources),
                **fields,
                identity=key,
                model=model.model_copy(update={"path": None} if training else {}),
                lattice_constant=a,
            )

        with alone(folder):  # who waited finds the chains of the other job, stored or in the folder
            return reuse_or(
                sample,
                MonteCarloDoc,
                key,
                reuse=self.reuse,
                sources=sources,
                alloy=alloy,
                composition=spec.of(host).shares(),
            )


def run_chains(
    energies: DecorationEnergies,
    alloy: AlloySpec,
    spec: MonteCarloSpec,
    seed: int,
    folder: Path,
    key: str,
) -> dict[str, Any] | None:
    """Run the chains of an alloy to their end and return their part of the document.

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
    ArithmeticError
        If end members or nearly all random decorations did not relax.
    """
    host = alloy.to_alloy()
    supercell, counts = spec.cell(host)
    settings = spec.sampling
    references = reference_codes(counts, settings.random, stream(seed, "references"))
    cache = EnergyCache(folder / ENERGIES_FILE)
    cached = CachedEnergies(energies, cache)
    begun, ladder = time.monotonic(), None
    if isinstance(asked := settings.temperatures, ExchangeLadder):
        ladder = stored_ladder(folder, key)
        if ladder is None:
            say(f"a pilot run chooses temperatures from {asked.lowest:g} to {asked.highest:g} K")
            rng = stream(seed, "pilot")
            ladder = run_pilot(cached, host, supercell, counts, asked, rng)
    chosen = settings if ladder is None else settings.at(ladder.temperatures)
    sampler = Sampler(energies, host, supercell, Canonical(host, counts), chosen, seed)
    run = SamplingRun(
        sampler,
        folder,
        key,
        lambda: cached.energies(references) / sampler.n_units,
        tell=say,
        ladder=ladder,
        audit=energies.audit if isinstance(energies, RelaxedDecorations) else None,
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
        msg = "end members or random decorations did not relax; raise max_steps"
        raise ArithmeticError(msg)
    chains = sampler.chains()
    averaged = [AveragedChain.of(c, host.elements, settings.average_from, shift) for c in chains]
    averages = summarise_temperatures(averaged, random)
    shares = {e: n / sampler.n_units for e, n in counts.items()}
    series = ChainSeries.collect([c.energies for c in chains], [c.counts for c in chains])
    return {
        "mode": spec.mode,
        "alloy": alloy,
        "supercell": supercell,
        "composition": spec.of(host).shares(),
        "counts": counts,
        "seed": seed,
        "settings": settings,
        "ladder": ladder,
        "end_points": ends,
        "random_mev": 1e3 * float(random.mean()),
        "random_error_mev": 1e3 * float(random.std(ddof=1) / np.sqrt(len(random))),
        "chains": [ChainSummary.of(a) for a in averaged],
        "averages": averages,
        "separation": separation_of(averages, shares, stream(seed, "separation")),
        "series": series.to_file(),
        "evaluations": sampler.evaluations + len(cache),
        "relaxation": relaxation_summary(energies, run.audits),
        "forbidden": forbidden + (ladder.forbidden if ladder else 0),
        "seconds": run.seconds,
    }
