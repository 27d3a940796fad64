"""Settings of GPAW labels, and the calculator that follows them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from ase.calculators.calculator import Calculator
from pydantic import ConfigDict

from hea_flows.alloy.lattice import KMesh, Ordering, folded_mesh
from hea_flows.reference.options import Count, Positive


@dataclass(frozen=True)
class GPAWSettings:
    """What a user chooses of GPAW; two labels with the same settings are comparable.

    Parameters
    ----------
    cutoff
        Plane-wave cutoff (eV).
    xc
        Exchange-correlation functional, of those that GPAW has a stress of: see `check_functional`.
    mesh
        Γ-centred k-points of the *primitive* cell; supercells fold it.
    smearing
        Fermi-Dirac width (eV).
    moments
        Start moments (μB); a structure that holds one of these elements is spin-polarised.
    energy_convergence, density_convergence
        SCF thresholds (eV and electrons, per valence electron).
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    cutoff: Positive = 400.0
    xc: str = "PBE"
    mesh: tuple[Count, Count, Count] = (12, 12, 1)
    smearing: Positive = 0.05
    moments: Mapping[str, float] = field(default_factory=lambda: {"V": 1.0})
    energy_convergence: Positive = 1e-5
    density_convergence: Positive = 1e-5

    def __post_init__(self) -> None:
        """Take the list that JSON makes of a tuple."""
        object.__setattr__(self, "mesh", tuple(self.mesh))

    def rule(self) -> dict[str, Any]:
        """Return all that makes two labels comparable, code and setups included.

        Raises
        ------
        ModuleNotFoundError
            If GPAW or its setups are not installed.
        """
        chosen = asdict(self) | {"moments": dict(self.moments), "mesh": list(self.mesh)}
        return {
            "code": "gpaw",
            "version": _version("gpaw"),
            "setups": f"gpaw-data {_version('gpaw-data')}",
            "mode": "pw",
            "energy": "extrapolated to zero smearing",
            "forces": "of the free energy",
            "k_points": "primitive mesh folded exactly, else as dense",
        } | chosen

    def spin_polarised(self, ordering: Ordering) -> bool:
        """Return whether a structure is computed with spin."""
        return any(element in self.moments for element in ordering.components)

    def start_moments(self, ordering: Ordering) -> dict[str, float]:
        """Return the start moment of each element that has one (μB); none without spin."""
        return dict(self.moments) if self.spin_polarised(ordering) else {}

    def k_points(self, ordering: Ordering) -> KMesh:
        """Return the k-points of a structure."""
        return folded_mesh(self.mesh, ordering.supercell, ordering.alloy.primitive().cell.array)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        msg = f"{package} is not installed; install hea-flows[gpaw] (see docs/gpaw.md)"
        raise ModuleNotFoundError(msg) from None


def check_functional(name: str) -> None:
    """Make sure that GPAW has a functional, and its stress.

    Raises
    ------
    ValueError
        If not: van der Waals functionals and hybrids have no stress in GPAW.
    """
    from gpaw.xc import XC
    from gpaw.xc.gga import GGA
    from gpaw.xc.lda import LDA
    from gpaw.xc.mgga import MGGA

    known = "for example PBE, PBEsol, SCAN, or names of libxc such as MGGA_X_R2SCAN+MGGA_C_R2SCAN"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            functional = XC(name)
    except Exception as error:  # of any kind, by the name's form
        msg = f"xc: GPAW has no functional {name!r}; accepted: those of libxc, {known}"
        raise ValueError(msg) from error
    if type(functional) not in (LDA, GGA, MGGA):
        msg = f"xc: {name!r} has no stress in GPAW, which labels need; take one that has, {known}"
        raise ValueError(msg)


def calculator(ordering: Ordering, settings: GPAWSettings, log: Path) -> Calculator:
    """Return a fresh GPAW calculator for one ordering."""
    from gpaw import GPAW, PW, FermiDirac

    gpaw: Calculator = GPAW(
        mode=PW(settings.cutoff),
        xc=settings.xc,
        kpts=settings.k_points(ordering).points,
        occupations=FermiDirac(settings.smearing),
        convergence={
            "energy": settings.energy_convergence,
            "density": settings.density_convergence,
        },
        spinpol=settings.spin_polarised(ordering),
        txt=str(log),
    )
    return gpaw
