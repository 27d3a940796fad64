"""The seam of the reference engines: what a label document is made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from ase import Atoms
from jobflow import Flow, Job
from pymatgen.core import Structure

from hea_flows.alloy.frames import checksum, max_force, settings_id
from hea_flows.schemas import AlloySpec, Document, LabelDoc, StructureEntry, Trajectory
from hea_flows.stamp import stamp

Calculation = Literal["relax", "static"]


class MissingLabelError(LookupError):
    """An engine that reads stored labels has none for a structure."""


class ReferenceEngine(Protocol):
    """A Maker whose job or flow labels one structure and outputs a `LabelDoc`.

    An engine is a `jobflow.Maker`; another package adds one through the entry-point group
    ``hea_flows.engines``. Nothing downstream knows which code labelled a frame.
    """

    name: str
    calculation: Calculation

    def check(self) -> None:
        """Raise, in one line, what can be known before any structure is labelled (optional)."""
        ...

    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
    ) -> Job | Flow:
        """Return the job or flow of one structure.

        Parameters
        ----------
        structure, alloy
            The ordering and its host.
        source
            The structures document it comes from, or a reference to it; kept as provenance.
        start
            Start geometry; default the ideal structure at Vegard's lattice constant.
        """
        ...


def label_document(
    compute: Callable[[], tuple[list[Atoms], bool]],
    *,
    structure: StructureEntry,
    engine: str,
    rule: dict[str, Any],
    calculation: Calculation,
    source: Document | None = None,
    packages: tuple[str, ...] = (),
) -> LabelDoc:
    """Run an engine and describe what came of it; a failure becomes a document, not an error.

    Parameters
    ----------
    compute
        Returns frames with results, and whether the last one is converged. `MissingLabelError`
        says that the engine has no label for this structure.
    """
    common = stamp(*packages, structures=source) | {
        "structure": structure,
        "engine": engine,
        "settings": rule,
        "settings_id": settings_id(rule),
        "calculation": calculation,
    }
    try:
        frames, converged = compute()
    except MissingLabelError as error:
        return LabelDoc(**common, state="missing", reason=str(error))
    except Exception as error:  # noqa: BLE001  one structure never sinks a campaign
        return LabelDoc(**common, state="failed", reason=f"{type(error).__name__}: {error}")
    last = frames[-1]
    force = max_force(last)
    moments = last.calc.results.get("magmoms")
    return LabelDoc(
        **common,
        state="converged" if converged else "unconverged",
        reason=None if converged else f"largest force {force:.3f} eV/Å after {len(frames)} steps",
        n_frames=len(frames),
        energy=float(last.calc.results["energy"]),
        max_force=force,
        magnetization=None if moments is None else float(sum(moments)),
        trajectory=Trajectory.from_frames(frames),
        trajectory_sha256=checksum(frames),
    )
