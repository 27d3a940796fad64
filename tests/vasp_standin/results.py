"""One ionic step as the writers see it, and the placeholder band structure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vasp_standin.deck import Deck

KILOBAR = 1602.1766208  # kB per eV/Å³
#: −T·S of the stand-in in eV per atom and eV² of SIGMA
_ENTROPY = -0.1
#: metals with fewer d electrons than a full band of a group-6 2H layer: conductors
_HOLES = {"Ti": 2, "Zr": 2, "Hf": 2, "V": 1, "Nb": 1, "Ta": 1}
_FERMI, _GAP = -1.25, 1.5  # eV


@dataclass(frozen=True)
class Energies:
    """F (free), E (without entropy), E0 (zero smearing) and −T·S, eV per cell."""

    free: float
    without_entropy: float
    zero: float
    entropy: float


@dataclass(frozen=True)
class IonicStep:
    """A geometry, rounded as it is written, and what belongs to it.

    cell (3, 3) Å; frac (atoms, 3); forces (atoms, 3) eV/Å; stress (3, 3) eV/Å³, positive under
    tension; moments (atoms,) μB; `electronic` holds F of each electronic step, eV; the last is
    `energies.free`.
    """

    number: int
    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    energies: Energies
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    moments: NDArray[np.float64]
    electronic: list[float]
    scf_converged: bool

    @property
    def pressure(self) -> NDArray[np.float64]:
        """VASP's stress, kB: positive under compression."""
        return -self.stress * KILOBAR

    @property
    def volume(self) -> float:
        """Cell volume, Å³."""
        return float(abs(np.linalg.det(self.cell)))


def energies(deck: Deck, zero: float) -> Energies:
    """Return VASP's three energies around E0, the energy of the potential.

    The entropy term −T·S is −0.1 eV⁻¹ · atoms · SIGMA², none for tetrahedra (ISMEAR < −1), and
    E0 = F − (−T·S)/(2 + N) with the Methfessel-Paxton order N, as in VASP.
    """
    smearing = deck.get("ISMEAR")
    entropy = _ENTROPY * deck.n_atoms * deck.get("SIGMA") ** 2 if smearing >= -1 else 0.0
    free = round(zero + entropy / (2 + max(smearing, 0)), 8)
    return Energies(free, round(free - entropy, 8), zero, round(entropy, 8))


def electronic_steps(deck: Deck, final: float, number: int, *, converged: bool) -> list[float]:
    """Return F after each electronic step: it falls onto the last until EDIFF is met."""
    limit = int(deck.get("NELM"))
    if not converged:
        return [final + 0.3 * (-1) ** i for i in range(1, limit)] + [final]
    last = 0.3 * deck.get("EDIFF")
    first = 10.0 if number == 1 else 0.1
    needed = max(4, math.ceil(math.log10(first / last)) + 2)
    ratio = (last / first) ** (1 / (needed - 2))
    falling = [final + first * ratio**i for i in range(needed - 1)]
    return [*falling[: limit - 1], final]


@dataclass(frozen=True)
class Bands:
    """Placeholder eigenvalues (spins, k-points, bands) in eV, and occupations."""

    fermi: float
    eigenvalues: NDArray[np.float64]
    occupations: NDArray[np.float64]


def n_bands(deck: Deck) -> int:
    """Return NBANDS, by VASP's rule if it is not set."""
    electrons = deck.n_electrons
    default = max(int(electrons + 2.5) // 2 + max(deck.n_atoms // 2, 3), int(0.6 * electrons))
    if deck.spins == 2:
        moments = deck.incar.get("MAGMOM", [1.0] * deck.n_atoms)
        default += max(int((sum(moments) + 1) // 2), 0)
    return int(deck.incar.get("NBANDS", default))


def bands(deck: Deck) -> Bands:
    """Return flat bands: a gap for group-6 layers, none where d electrons or pairs miss."""
    count, electrons = n_bands(deck), deck.n_electrons
    filled = min(math.ceil(electrons / 2 - 1e-9), count)
    holes = sum(_HOLES.get(symbol, 0) for symbol in deck.symbols)
    gap = 0.0 if holes or electrons % 2 else _GAP
    below = _FERMI - gap / 2 - 0.25 * np.arange(filled)[::-1]
    above = _FERMI + gap / 2 + 0.25 * np.arange(count - filled)
    row = np.concatenate([below, above])
    shape = (deck.spins, len(deck.mesh.points), count)
    occupations = np.zeros(count)
    occupations[:filled] = 1.0
    if filled:
        occupations[filled - 1] -= filled - electrons / 2
    return Bands(_FERMI, np.broadcast_to(row, shape), np.broadcast_to(occupations, shape))
