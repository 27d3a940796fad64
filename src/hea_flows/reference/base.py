"""The seam of the reference engines: what a label document is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ase import Atoms
from jobflow import Flow, Job
from pymatgen.core import Structure

from hea_flows.alloy.lattice import frames_checksum, max_force, phase_flags
from hea_flows.plugins import ENGINES
from hea_flows.provenance import provenance, settings_id
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import (
    AlloySpec,
    Document,
    LabelDoc,
    StoredFile,
    StructureEntry,
    Trajectory,
)

Calculation = Literal["relax", "static"]
#: Fields of a label that its job puts into the store for big fields.
LABEL_DATA = ["trajectory", "task"]


class MissingLabelError(LookupError):
    """An engine that reads stored labels has none for a structure."""


class ReferenceEngine(Protocol):
    """A Maker whose job or flow labels one structure and outputs a `LabelDoc`.

    An engine is a `jobflow.Maker`; another package adds one through the entry-point group
    ``hea_flows.engines``. Nothing downstream knows which code labelled a frame.
    """

    name: str
    calculation: Calculation

    def check(self, alloy: AlloySpec) -> None:
        """Raise, in one line, what can be known before any structure is labelled (optional)."""
        ...

    def identity(self) -> dict[str, Any] | None:
        """Return what its labels depend on; None: they are never reused (optional).

        By default all fields of the Maker but its name.
        """
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


@dataclass(frozen=True)
class Labelled:
    """What a reference engine found out about one structure.

    Parameters
    ----------
    frames
        Labelled frames in the order of their steps, atoms in the order of `Ordering.to_atoms`.
        Frames that came before a failure are labels too.
    converged
        Whether the last frame is what was asked for.
    reason
        Why not; default its largest force.
    corrections
        What was changed to make the code go on, in order.
    inputs
        The input of the code.
    code_versions
        Versions of the programs that computed, where they are no Python packages.
    directory
        Folder of the calculation, ``host:path``.
    task
        The code's own output document.
    """

    frames: list[Atoms]
    converged: bool
    reason: str | None = None
    corrections: list[str] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    code_versions: dict[str, str] = field(default_factory=dict)
    directory: str | None = None
    task: StoredFile | None = None


def label_document(
    compute: Callable[[], Labelled],
    *,
    structure: StructureEntry,
    alloy: AlloySpec,
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
        Labels the structure. `MissingLabelError` says that the engine has no label for it.
    """
    common = provenance(*packages, structures=source) | {
        "structure": structure,
        "engine": engine,
        "settings": rule,
        "settings_id": settings_id(rule),
        "calculation": calculation,
    }
    try:
        found = compute()
    except OutOfTimeError:
        raise
    except MissingLabelError as error:
        return LabelDoc(**common, state="missing", reason=str(error))
    except Exception as error:  # noqa: BLE001  one structure never sinks a campaign
        return LabelDoc(**common, state="failed", reason=f"{type(error).__name__}: {error}")
    common |= {
        "corrections": found.corrections,
        "inputs": found.inputs,
        "code_versions": found.code_versions,
        "directory": found.directory,
        "task": found.task,
    }
    if not found.frames:
        reason = found.reason or "no ionic step was labelled"
        return LabelDoc(**common, state="failed", reason=reason)
    last = found.frames[-1]
    force = max_force(last)
    reason = found.reason or f"largest force {force:.3f} eV/Å after {len(found.frames)} steps"
    moments = last.calc.results.get("magmoms")
    return LabelDoc(
        **common,
        state="converged" if found.converged else "unconverged",
        reason=None if found.converged else reason,
        n_frames=len(found.frames),
        energy=float(last.calc.results["energy"]),
        max_force=force,
        magnetization=None if moments is None else float(sum(moments)),
        flags=phase_flags(structure.to_ordering(alloy.to_alloy()), last),
        trajectory=Trajectory.from_frames(found.frames),
        trajectory_sha256=frames_checksum(found.frames),
    )


def reference_engines() -> list[str]:
    """Return the names of all reference engines, installed or not."""
    return ENGINES.names()


def reference_engine(name: str) -> type[Any]:
    """Return the Maker class of a reference engine.

    Raises
    ------
    ValueError
        For an unknown name.
    ModuleNotFoundError
        If its package is not installed; the message names the extra.
    """
    maker: type[Any] = ENGINES.load(name)
    return maker
