"""The phase diagram of one binary: chains of variable composition in one cell or several."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
from ase.units import kB
from jobflow import Maker, Response
from numpy.typing import NDArray

from hea_flows.alloy import stream
from hea_flows.alloy.lattice import Alloy, IntMatrix, end_point_constants
from hea_flows.alloy.phases import (
    CompositionChain,
    CompositionLadder,
    RedlichKister,
    critical_point,
    section_point,
)
from hea_flows.alloy.sampling import DecorationEnergies, Sampler
from hea_flows.config import PhaseDiagramSpec
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning import local_model
from hea_flows.jobs.reuse import identity, reuse_or
from hea_flows.jobs.sampling import (
    CachedEnergies,
    EnergyCache,
    SamplingRun,
    relaxation_summary,
    run_folder,
    sample_or_continue,
)
from hea_flows.potentials import RelaxedDecorations, decoration_energies
from hea_flows.provenance import provenance
from hea_flows.runtime import alone
from hea_flows.schemas import (
    AlloySpec,
    DatasetDoc,
    Interaction,
    LabelledDoc,
    ModelDoc,
    ModelSpec,
    PhaseCell,
    PhaseDiagramDoc,
    TestSetDoc,
)
from hea_flows.services import say
from hea_flows.settings import get_settings

#: Highest power of the Redlich–Kister fit.
ORDER = 3


@dataclass
class PhaseDiagramMaker(Maker):
    """Sample a binary at all compositions and several temperatures.

    Energies are mixing energies against end points in the chains' own mode. Every composition is
    at, or is relaxed from, the lattice constant that Vegard's rule gives it.

    Parameters
    ----------
    name
        Job name.
    phase_diagram
        Cells, temperatures, length of the chains and mode.
    pair
        The two elements.
    seed
        Seed of the chains and of the draws of the errors.
    reuse
        Whether to take a stored diagram of the same model, cells, settings and seed.
    """

    name: str = "phase diagram"
    phase_diagram: PhaseDiagramSpec = field(
        default_factory=lambda: PhaseDiagramSpec(temperatures=[400.0])
    )
    pair: list[str] = field(default_factory=lambda: ["Mo", "W"])
    seed: int = 0
    reuse: bool = True

    @result_job(output_schema=PhaseDiagramDoc)
    def make(
        self,
        model: ModelDoc | ModelSpec | str,
        labels: DatasetDoc | TestSetDoc | str,
        alloy: AlloySpec,
    ) -> PhaseDiagramDoc | Response[PhaseDiagramDoc]:
        """Run all chains; an interrupted job goes on with the same trajectories.

        Documents are given, or by the uuids of the jobs that made them.

        Parameters
        ----------
        model
            A model that was trained, a committee, or a foundation as it is.
        labels
            Labels of the end points, from which the lattice constants come.
        alloy
            The host.
        """
        return sample_or_continue(self, self._diagram, model, labels, alloy)

    def _diagram(
        self, source: ModelDoc | ModelSpec, labels: LabelledDoc, alloy: AlloySpec
    ) -> PhaseDiagramDoc | None:
        """Return the document; None if the hours of this job were over before the end."""
        spec, whole = self.phase_diagram, alloy.to_alloy()
        constants = end_point_constants(whole, labels.end_point_cells)
        own = {e: constants[e] for e in self.pair}
        binary = AlloySpec.of(whole).model_copy(
            update={"elements": tuple(self.pair), "lattice_constants": own, "composition": {}}
        )
        model = local_model(source)
        key = identity(
            model=model.content(),
            alloy=binary,
            settings=spec.model_copy(update={"model": None, "pairs": None, "max_hours": None}),
            seed=self.seed,
        )
        training = None if isinstance(source, ModelSpec) else source
        sources = {"training": training, "dataset": labels}
        folder = run_folder(key, reuse=self.reuse)

        def diagram() -> PhaseDiagramDoc | None:
            host, cells, seconds = binary.to_alloy(), [], 0.0
            for supercell in spec.cells(host):
                energies = decoration_energies(
                    model,
                    host,
                    supercell,
                    own,
                    mode=spec.mode,
                    error=spec.sampling.largest_error,
                    max_steps=spec.max_steps,
                    device=get_settings().device,
                )
                place = folder / "x".join(map(str, np.ravel(supercell)))
                sampled = sample_cell(energies, host, supercell, spec, self.seed, place, key)
                if sampled is None:
                    return None
                cell, took = sampled
                cells.append(cell)
                seconds += took
            solution, rmse = fitted(host, cells[-1])
            return PhaseDiagramDoc(
                **provenance("torch", "trainstation", **sources),
                identity=key,
                model=model.model_copy(update={"path": None} if training else {}),
                mode=spec.mode,
                alloy=binary,
                lattice_constants=own,
                seed=self.seed,
                settings=spec.sampling,
                cells=cells,
                critical=critical_point([c.points for c in cells], layer=host.host.layer),
                interactions=[
                    Interaction(elements=elements, power=power, constant=a, slope=b)
                    for (elements, power), (a, b) in solution.parameters.items()
                ],
                fit_rmse_mev=1e3 * rmse,
                seconds=seconds,
            )

        with alone(folder):  # who waited finds the chains of the other job, stored or in the folder
            return reuse_or(diagram, PhaseDiagramDoc, key, reuse=self.reuse, sources=sources)


@dataclass(frozen=True)
class MixingEnergies:
    """Energies of decorations of a binary relative to its pure ends.

    Parameters
    ----------
    model
        Energies of decorations.
    ends
        Energy of the pure cells (eV per cell), shape (2,).
    """

    model: DecorationEnergies
    ends: NDArray[np.float64]

    @property
    def name(self) -> str:
        """Geometry at which decorations are evaluated."""
        return self.model.name

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the mixing energies (eV per cell) of decorations (B, n_sites)."""
        mixed: NDArray[np.float64] = self.model.energies(codes) - self.ends[codes].mean(axis=1)
        return mixed


def sample_cell(
    energies: DecorationEnergies,
    alloy: Alloy,
    supercell: IntMatrix,
    spec: PhaseDiagramSpec,
    seed: int,
    folder: Path,
    key: str,
) -> tuple[PhaseCell, float] | None:
    """Run the chains of a binary in one cell to their end.

    Parameters
    ----------
    energies
        Energies of decorations of the supercell.
    alloy, supercell
        The binary and its supercell.
    spec, seed
        What is sampled, and the seed.
    folder, key
        Where the state of the run is kept, and what it depends on; see `SamplingRun`.

    Returns
    -------
    cell, seconds
        What was found and how long it took; None if `spec.max_hours` were over before the end.

    Raises
    ------
    OutOfTimeError
        If the batch job ends before another step would.
    ArithmeticError
        If the pure ends or a single site of the other element did not relax.
    ValueError
        If chains are too short to share compositions, at every temperature.
    """
    n = alloy.n_sites(supercell)
    cache = EnergyCache(folder / "energies.json")
    codes = np.zeros((4, n), dtype=np.int64)
    codes[1], codes[2, 0], codes[3, 1:] = 1, 1, 1  # pure, pure, one of the second, of the first
    found = CachedEnergies(energies, cache).energies(codes)
    if not np.isfinite(found).all():
        msg = f"the ends of {'-'.join(alloy.elements)} did not relax; raise max_steps"
        raise ArithmeticError(msg)
    mixing = MixingEnergies(energies, found[:2])
    shift = (found[1] - found[0]) / n
    dilute = float(found[2] - found[0] - shift), float(found[3] - found[1] + shift)
    composition = (
        CompositionLadder.stable(n, spec.temperatures[0], dilute)
        if spec.kappa is None
        else CompositionLadder(n, spec.kappa, dilute)
    )
    ensemble = composition.ensemble(alloy)
    sampler = Sampler(mixing, alloy, supercell, ensemble, spec.sampling, seed)
    audit = energies.audit if isinstance(energies, RelaxedDecorations) else None
    run = SamplingRun(sampler, folder, key, lambda: found, tell=say, audit=audit)
    run.resume()
    if not run.advance(spec.max_hours):
        return None
    chains, points, failed = sampler.chains(), [], {}
    for temperature in spec.temperatures:
        beta = 1.0 / (kB * temperature)
        own = [
            CompositionChain(c.numbers[:, 1], composition.log_weight(c.point, beta))
            for c in chains
            if c.temperature == temperature
        ]
        rng = stream(seed, "errors", n, f"{temperature:g} K")
        try:
            points.append(section_point(temperature, own, rng))
        except ValueError as error:
            failed[f"{temperature:g} K"] = str(error)
    if not points:
        raise ValueError(next(iter(failed.values())))
    cell = PhaseCell(
        supercell=supercell,
        n_sites=n,
        dilute_mev=(1e3 * dilute[0], 1e3 * dilute[1]),
        kappa=composition.kappa,
        points=points,
        failed=failed,
        chains=len(composition.compositions) * spec.runs,
        acceptance=fmean(c.acceptance for c in chains),
        evaluations=sampler.evaluations + len(cache),
        forbidden=sampler.forbidden,
        relaxation=relaxation_summary(energies, run.audits),
    )
    return cell, run.seconds


def fitted(alloy: Alloy, cell: PhaseCell) -> tuple[RedlichKister, float]:
    """Return a solution fitted to the excess free energies of a cell, and its error (eV/unit)."""
    second = np.linspace(0, 1, cell.n_sites + 1)
    table = [
        (x, point.temperature, 1e-3 * value)
        for point in cell.points
        for x, value in zip(second, point.excess_mev, strict=True)
        if np.isfinite(value)
    ]
    x, temperatures, excess = np.array(table).T
    compositions = np.stack([1 - x, x], axis=1)
    return RedlichKister.fit(alloy.elements, compositions, temperatures, excess, order=ORDER)
