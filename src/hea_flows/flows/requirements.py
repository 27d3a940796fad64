"""What the parts of a campaign need: each function raises what can be known to fail, in one line.

Nothing is computed.
"""

from __future__ import annotations

from contextlib import suppress

from hea_flows.alloy.sampling import check_chains
from hea_flows.alloy.thermodynamics import require_phonopy
from hea_flows.config import (
    Campaign,
    LabelSpec,
    MonteCarloSpec,
    PhaseDiagramSpec,
    ThermodynamicsSpec,
)
from hea_flows.jobs.labelling import LabelsMaker
from hea_flows.potentials import family
from hea_flows.potentials.training import methods
from hea_flows.schemas import AlloySpec, ModelSpec, TrainingSettings


def checked_labels(spec: LabelSpec, alloy: AlloySpec) -> LabelsMaker:
    """Return the Maker of labels after making sure that its engine can make them.

    Raises
    ------
    ValueError, FileNotFoundError, ModuleNotFoundError
        For an unknown engine, option or model, a dataset that is not there, or an engine that is
        not installed.
    """
    maker = LabelsMaker(labels=spec)
    maker.reference.check(alloy)
    if spec.start is not None:
        start = checked_model(spec.start.model)
        if not family(start.family).relaxes:
            msg = f"start: a {start.family} has no forces, so it relaxes no structure"
            raise ValueError(msg)
    return maker


def checked_model(spec: ModelSpec) -> ModelSpec:
    """Return a model after making sure that its file is there and may be loaded.

    Foundations are returned as they are: a worker downloads what is not in the cache. Without a
    checksum, given or published, they are refused here, unless the file cannot be had here.

    Raises
    ------
    ValueError, FileNotFoundError, ModuleNotFoundError
        For an unknown family or name, a file that is missing, another one or promised by nobody,
        or a package that is not installed.
    """
    kind = family(spec.family)
    kind.check(spec)
    if spec.path is not None:
        return kind.resolve(spec)
    if spec.name is not None and kind.promised(spec) is None:
        with suppress(OSError):
            kind.resolve(spec)
    return spec


def checked_learning(
    spec: ModelSpec, settings: TrainingSettings
) -> tuple[ModelSpec, TrainingSettings]:
    """Return a model to train and its settings after making sure that its family has the method.

    Raises
    ------
    ValueError, FileNotFoundError, ModuleNotFoundError
        As `checked_model`; also for a family or a method that cannot train it, or a replay file
        that is missing or another one.
    """
    spec = checked_model(spec)
    methods.check(family(spec.family), spec if spec.pretrained else None, settings)
    return spec, methods.resolve(settings)


def check_monte_carlo(spec: MonteCarloSpec, alloy: AlloySpec) -> None:
    """Make sure that the alloy fits the supercell.

    Raises
    ------
    ValueError
        If it does not.
    """
    spec.check(alloy.to_alloy())


def check_phase_diagram(spec: PhaseDiagramSpec, alloy: AlloySpec) -> None:
    """Make sure that the pairs are of the alloy, and that an expansion fits each cell.

    Raises
    ------
    ValueError
        If not.
    """
    host = alloy.to_alloy()
    spec.cells(host)
    first, second = spec.pairs_of(host)[0]
    check_chains(host, {first: 1, second: 1})


def check_thermodynamics(spec: ThermodynamicsSpec, campaign: Campaign) -> None:
    """Make sure that the alloy fits all cells, and that vibrations have what they need.

    Raises
    ------
    ValueError, ModuleNotFoundError
        If not.
    """
    if spec.vibrations:
        require_phonopy()
        name = spec.model or campaign.usable[0]
        models = {entry.name: entry.model or campaign.model for entry in campaign.models}
        if (model := models.get(name, campaign.model)) and not family(model.family).relaxes:
            msg = f"vibrations need forces, which a {model.family} has not; leave them out"
            raise ValueError(msg)
    spec.check(campaign.alloy.to_alloy(), campaign.seed)
