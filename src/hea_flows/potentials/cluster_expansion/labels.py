"""The labels of a dataset that a cluster expansion is fitted to."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from hea_flows.alloy.lattice import Alloy
from hea_flows.schemas import AlloySpec


def alloy_of(frames: Sequence[Atoms]) -> Alloy:
    """Return the alloy that frames of a dataset say they are of.

    Raises
    ------
    ValueError
        If they do not say it, or name several.
    """
    given = [frame.info.get("alloy") for frame in frames]
    if not given or given[0] is None or any(one != given[0] for one in given):
        msg = (
            "a cluster expansion is fitted to frames of one alloy, which info['alloy'] describes "
            "like the section of a campaign file"
        )
        raise ValueError(msg)
    return AlloySpec.model_validate(given[0]).to_alloy()


def is_mixed(frame: Atoms, alloy: Alloy) -> bool:
    """Return whether a frame is of several of the alloy's elements."""
    return len(set(frame.symbols) - set(alloy.fixed_species)) > 1


def fitted_calculation(frames: Sequence[Atoms]) -> str:
    """Return which calculations count: relaxations, or single points where none converged.

    Energies of the two kinds never mix: shifted atoms of the shipped labels add 28 meV/unit to
    single points.

    Raises
    ------
    ValueError
        If there are only relaxations that did not converge.
    """
    for calculation in ("relax", "static"):
        if last_frames(frames, calculation):
            return calculation
    msg = "none of the relaxations that a cluster expansion should be fitted to converged"
    raise ValueError(msg)


def last_frames(frames: Sequence[Atoms], calculation: str) -> list[Atoms]:
    """Return the last frame of every calculation of a kind that converged.

    Frames before it are unrelaxed.

    Parameters
    ----------
    frames
        With what `hea_flows.jobs.learning.dataset.split_atoms` says of each in ``info``: its step,
        the number of steps, the calculation and whether that converged. A frame that says nothing
        is a single point.
    calculation
        ``"relax"`` or ``"static"``.
    """
    return [
        frame
        for frame in frames
        if frame.info.get("calculation", "static") == calculation
        and frame.info.get("converged", True)
        and frame.info.get("step", 0) == frame.info.get("n_steps", 1) - 1
    ]
