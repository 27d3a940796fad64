"""GPAW, an open-source plane-wave PBE engine, resumable after every ionic step."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import Trajectory
from jobflow import Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.frames import settings_id
from hea_flows.alloy.kmesh import folded_mesh
from hea_flows.alloy.relaxation import relax
from hea_flows.engines.labels import LABEL_DATA, Calculation, Labelled, label_document
from hea_flows.schemas import AlloySpec, Document, LabelDoc, StructureEntry
from hea_flows.settings import get_settings

if TYPE_CHECKING:
    from hea_flows.alloy.ordering import Ordering


@dataclass(frozen=True)
class GPAWRule:
    """The rule that makes two GPAW labels comparable; its hash is the settings id.

    Parameters
    ----------
    cutoff
        Plane-wave cutoff (eV).
    xc
        Exchange-correlation functional.
    mesh
        Γ-centred k-points of the *primitive* cell; supercells fold it.
    smearing
        Fermi-Dirac width (eV).
    moments
        Start moments (μB); a structure that holds one of these elements is spin-polarised.
    energy_convergence, density_convergence
        SCF thresholds (eV and electrons, per valence electron).
    """

    cutoff: float = 400.0
    xc: str = "PBE"
    mesh: tuple[int, int, int] = (12, 12, 1)
    smearing: float = 0.05
    moments: Mapping[str, float] = field(default_factory=lambda: {"V": 1.0})
    energy_convergence: float = 1e-5
    density_convergence: float = 1e-5

    def __post_init__(self) -> None:
        """Take the list that JSON makes of a tuple."""
        object.__setattr__(self, "mesh", tuple(self.mesh))

    def as_rule(self) -> dict[str, Any]:
        """Return the whole rule, code and setups included."""
        rule = asdict(self) | {"moments": dict(self.moments), "mesh": list(self.mesh)}
        return {
            "code": "gpaw",
            "version": _version("gpaw"),
            "setups": f"gpaw-data {_version('gpaw-data')}",
            "mode": "pw",
            "energy": "extrapolated to zero smearing",
            "forces": "of the free energy",
            "k_points": "primitive mesh folded exactly, else as dense",
        } | rule

    @property
    def id(self) -> str:
        """Settings id, the hash of the rule."""
        return settings_id(self.as_rule())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        msg = f"{package} is not installed; install hea-flows[gpaw] (see docs/gpaw.md)"
        raise ModuleNotFoundError(msg) from None


def calculator(ordering: Ordering, rule: GPAWRule, log: Path) -> Any:  # noqa: ANN401
    """Return a fresh GPAW calculator for one ordering under a rule."""
    from gpaw import GPAW, PW, FermiDirac

    mesh = folded_mesh(rule.mesh, ordering.supercell, ordering.alloy.primitive().cell.array)
    return GPAW(
        mode=PW(rule.cutoff),
        xc=rule.xc,
        kpts=mesh.points,
        occupations=FermiDirac(rule.smearing),
        convergence={"energy": rule.energy_convergence, "density": rule.density_convergence},
        spinpol=_spin(ordering, rule),
        txt=str(log),
    )


def _spin(ordering: Ordering, rule: GPAWRule) -> bool:
    return any(el in rule.moments for el in ordering.components)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold a structure's folder, so that two workers never label it at once."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def compute_frames(
    ordering: Ordering,
    start: Atoms,
    rule: GPAWRule,
    directory: Path,
    *,
    static: bool = False,
    fmax: float = 0.02,
    max_steps: int = 40,
) -> tuple[list[Atoms], bool]:
    """Label one structure; every ionic step is a frame, saved as soon as it is known.

    A second call in the same folder goes on from the last saved step, on the path an
    uninterrupted run would have taken.

    Parameters
    ----------
    ordering
        The decoration, which fixes the k-point mesh and the spin.
    start
        Start geometry.
    rule
        Settings.
    directory
        Folder of this structure's steps; made if missing.
    static
        Evaluate the start geometry only.
    fmax, max_steps
        Convergence (eV/Å) and the largest number of moves, those of earlier calls included.

    Returns
    -------
    frames, converged
        Frames carry energy (extrapolated to zero smearing), free energy, forces (eV/Å), stress
        (eV/Å³) and magnetic moments (μB).
    """
    path, state = directory / "steps.traj", directory / "converged.json"
    with _locked(directory):
        done = list(Trajectory(path)) if path.exists() and path.stat().st_size else []
        atoms = (done[0] if done else start).copy()
        atoms.set_initial_magnetic_moments(
            [rule.moments.get(s, 0.0) if _spin(ordering, rule) else 0.0 for s in atoms.symbols]
        )
        frames: list[Atoms] = list(done)
        if done and (static or (state.exists() and json.loads(state.read_text())["fmax"] <= fmax)):
            return frames, True
        if len(done) > max_steps:
            return frames, False
        atoms.calc = calculator(ordering, rule, directory / f"gpaw-{len(done)}.txt")
        clock = time.perf_counter()

        def save(current: Atoms) -> None:
            nonlocal clock
            frame = _frame(current)
            frame.info["seconds"] = time.perf_counter() - clock
            clock = time.perf_counter()
            with Trajectory(path, "a") as trajectory:
                trajectory.write(frame)
            frames.append(frame)

        if static:
            atoms.get_potential_energy()
            save(atoms)
            return frames, True
        converged = relax(
            atoms,
            fmax=fmax,
            max_steps=max_steps - max(len(done) - 1, 0),
            on_step=save,
            resume_from=done[-1] if done else None,
            restart=directory / "hessian.json",
        )
        if converged:
            state.write_text(json.dumps({"fmax": fmax}))
        return frames, converged


def _frame(atoms: Atoms) -> Atoms:
    frame: Atoms = atoms.copy()
    results: dict[str, Any] = {
        "energy": float(atoms.get_potential_energy()),
        "free_energy": float(atoms.get_potential_energy(force_consistent=True)),
        "forces": np.array(atoms.get_forces()),
        "stress": np.array(atoms.get_stress()),
    }
    if atoms.get_initial_magnetic_moments().any():
        results["magmom"] = float(atoms.get_magnetic_moment())
        results["magmoms"] = np.array(atoms.get_magnetic_moments())
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


@dataclass
class GPAWMaker(Maker):
    """Label a structure with GPAW.

    Steps are kept in the scratch folder of the machine's settings, by settings id and structure:
    a job that was killed, or asked for again, goes on from the last saved step.

    Parameters
    ----------
    name
        Job name.
    calculation
        ``relax`` (atoms and in-plane cell, every ionic step a frame) or ``static``.
    rule
        Settings; their hash is the settings id of the label.
    fmax
        Convergence of a relaxation (eV/Å).
    max_steps
        Largest number of moves; a label that needs more is kept as unconverged.
    """

    name: str = "gpaw"
    calculation: Calculation = "relax"
    rule: GPAWRule = field(default_factory=GPAWRule)
    fmax: float = 0.02
    max_steps: int = 40

    def check(self, alloy: AlloySpec) -> None:  # noqa: ARG002  the same for every alloy
        """Raise `ModuleNotFoundError` if GPAW or its setups are not installed."""
        self.rule.as_rule()

    @job(data=LABEL_DATA, output_schema=LabelDoc)
    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
    ) -> LabelDoc:
        """Label one structure; see `hea_flows.engines.labels.ReferenceEngine`."""
        ordering = structure.to_ordering(alloy.to_alloy())
        atoms = ordering.to_atoms() if start is None else _layer(start, ordering)
        directory = get_settings().scratch_dir / self.rule.id / structure.structure_id
        return label_document(
            lambda: Labelled(
                *compute_frames(
                    ordering,
                    atoms,
                    self.rule,
                    directory / self.calculation,
                    static=self.calculation == "static",
                    fmax=self.fmax,
                    max_steps=self.max_steps,
                )
            ),
            structure=structure,
            alloy=alloy,
            engine="gpaw",
            rule=self.rule.as_rule(),
            calculation=self.calculation,
            source=source,
            packages=("gpaw", "gpaw-data"),
        )


def _layer(structure: Structure, ordering: Ordering) -> Atoms:
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.pbc = ordering.alloy.pbc
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
