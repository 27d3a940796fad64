"""Read INCAR, POSCAR and POTCAR as VASP does, and refuse what VASP refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasp_standin import kmesh
from vasp_standin.kmesh import Mesh

_FLOATS = {
    "ENCUT", "ENMAX", "ENAUG", "EDIFF", "EDIFFG", "SIGMA", "POTIM", "SYMPREC", "KSPACING", "AMIX",
    "BMIX", "AMIX_MAG", "BMIX_MAG", "AMIN", "MAGMOM", "NUPDOWN", "NELECT", "PSTRESS", "TIME",
    "LDAUU", "LDAUJ", "EMIN", "EMAX", "SMASS", "WC", "DIPOL", "EFIELD",
}  # fmt: skip
_INTEGERS = {
    "NSW", "IBRION", "ISIF", "ISPIN", "ISMEAR", "NELM", "NELMIN", "NELMDL", "LORBIT", "ISYM",
    "ISTART", "ICHARG", "NBANDS", "NCORE", "NPAR", "KPAR", "NSIM", "NEDOS", "LMAXMIX", "IOPTCELL",
    "NWRITE", "IMIX", "INIMIX", "MAXMIX", "LDAUL", "LDAUPRINT", "LDAUTYPE", "IVDW", "IDIPOL",
    "ISEARCH", "NBLOCK", "KBLOCK", "IALGO", "NGX", "NGY", "NGZ", "NGXF", "NGYF", "NGZF", "NFREE",
}  # fmt: skip
_LOGICALS = {
    "LWAVE", "LCHARG", "LASPH", "LVTOT", "LVHAR", "LELF", "LAECHG", "ADDGRID", "KGAMMA", "LPLANE",
    "LATTICE_CONSTRAINTS", "LDAU", "LDIPOL", "LSORBIT", "LNONCOLLINEAR", "LOPTICS", "LSCALU",
    "LHFCALC", "LUSE_VDW", "LPEAD", "LEPSILON", "LMONO",
}  # fmt: skip


class DeckError(ValueError):
    """VASP would stop here; the message is what it prints."""


@dataclass(frozen=True)
class Species:
    """One POTCAR: header line, element, valence electrons, mass and cut-off (eV)."""

    titel: str
    element: str
    valence: float
    mass: float
    enmax: float
    lexch: str


@dataclass(frozen=True)
class Deck:
    """The input of a run; arrays have one row per atom in POSCAR's order."""

    incar: Mapping[str, Any]
    comment: str
    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    free: NDArray[np.bool_]
    selective: bool
    counts: tuple[int, ...]
    names: tuple[str, ...]
    species: tuple[Species, ...]
    mesh: Mesh

    @property
    def symbols(self) -> list[str]:
        """POTCAR's elements, one per atom: POTCAR wins over POSCAR."""
        return [s.element for s, n in zip(self.species, self.counts, strict=True) for _ in range(n)]

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(self.counts)

    @property
    def n_electrons(self) -> float:
        """Valence electrons per cell."""
        total = sum(s.valence * n for s, n in zip(self.species, self.counts, strict=True))
        return float(self.incar.get("NELECT", total))

    @property
    def spins(self) -> int:
        """1 or 2."""
        return int(self.incar.get("ISPIN", 1))

    @property
    def mismatches(self) -> list[tuple[int, str, str]]:
        """Species whose names differ: number, POSCAR's and POTCAR's."""
        pairs = zip(self.names, self.species, strict=True)
        return [(i, name, s.element) for i, (name, s) in enumerate(pairs, 1) if name != s.element]

    def get(self, tag: str) -> Any:
        """Return INCAR's value or VASP's default of the tags that steer the run."""
        steps = self.incar.get("NSW", 0)
        ediff = self.incar.get("EDIFF", 1e-4)
        defaults = {
            "NSW": 0,
            "IBRION": -1 if steps in {-1, 0} else 0,
            "ISIF": 2,
            "EDIFF": ediff,
            "EDIFFG": 10 * ediff,
            "NELM": 60,
            "ISMEAR": 1,
            "SIGMA": 0.2,
            "ENCUT": max(s.enmax for s in self.species),
        }
        return self.incar.get(tag, defaults[tag])


def read(folder: Path) -> Deck:
    """Read the input of a run.

    Raises
    ------
    DeckError
        If VASP would stop at this input.
    """
    incar = _incar(_text(folder, "INCAR"))
    comment, cell, names, counts, selective, frac, free = _poscar(_text(folder, "POSCAR"))
    species = _potcar(_text(folder, "POTCAR"))
    if len(species) != len(counts):
        msg = (
            "ERROR: number of potentials on File POTCAR incompatible with number of species\n"
            f"INCAR :{len(counts):4d} POTCAR: {len(species):4d}"
        )
        raise DeckError(msg)
    if not names:
        names = tuple(s.element for s in species)
    if len({s.lexch for s in species}) > 1:
        msg = "ERROR: LEXCH differs between the POTCAR files: " + " ".join(s.lexch for s in species)
        raise DeckError(msg)
    moments = incar.get("MAGMOM")
    if incar.get("ISPIN", 1) == 2 and moments is not None and np.size(moments) < sum(counts):
        msg = "Error reading item 'MAGMOM' from file INCAR.\nError code was IERR= 0 . Found N= "
        msg += f"{np.size(moments)} data."
        raise DeckError(msg)
    path = folder / "KPOINTS"
    if path.exists():
        try:
            mesh = kmesh.read(path.read_text(), cell)
        except (ValueError, IndexError) as error:
            msg = f"Error reading KPOINTS file\n{error}"
            raise DeckError(msg) from error
    else:
        mesh = kmesh.spaced(cell, incar.get("KSPACING", 0.5), gamma=incar.get("KGAMMA", True))
    deck = Deck(incar, comment, cell, frac, free, selective, counts, names, species, mesh)
    _check_supported(deck)
    return deck


def _check_supported(deck: Deck) -> None:
    if deck.get("ISMEAR") == -5 and len(deck.mesh.points) < 4:
        msg = (
            "VERY BAD NEWS! internal error in subroutine IBZKPT:\n"
            "Tetrahedron method fails (number of k-points < 4)"
        )
        raise DeckError(msg)
    for tag, accepted in (("IBRION", (-1, 1, 2, 3)), ("ISIF", (0, 1, 2, 3)), ("ISPIN", (1, 2))):
        value = deck.spins if tag == "ISPIN" else deck.get(tag)
        if value not in accepted:
            msg = f"VASP stand-in: {tag} = {value} is not imitated; accepted: {accepted}"
            raise DeckError(msg)


def _text(folder: Path, name: str) -> str:
    path = folder / name
    if not path.is_file() or not path.stat().st_size:
        if name == "INCAR":
            msg = "No INCAR found, STOPPING"
        else:
            msg = f"ERROR: could not open file {name}: it is missing or empty"
        raise DeckError(msg)
    return path.read_text()


def _incar(text: str) -> dict[str, Any]:
    tags: dict[str, Any] = {}
    for raw in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"[#!]", raw, maxsplit=1)[0].split(";"):
            key, equals, value = part.partition("=")
            key, value = key.strip().upper(), value.strip()
            if equals and key not in tags and value:  # VASP takes the first of two
                tags[key] = _value(key, value)
    return tags


def _value(key: str, text: str) -> Any:
    try:
        if key in _LOGICALS:
            found: list[Any] = [_logical(word) for word in text.split()]
        elif key in _INTEGERS:
            found = [int(word) for word in _repeated(text)]
        elif key in _FLOATS:
            found = [float(re.sub("[dD]", "e", word)) for word in _repeated(text)]
        else:
            return text
    except ValueError as error:
        msg = f"Error reading item '{key}' from file INCAR.\nError code was IERR= 5 ; {error}"
        raise DeckError(msg) from error
    many = {"MAGMOM", "LATTICE_CONSTRAINTS", "IOPTCELL", "LDAUU", "LDAUJ", "LDAUL", "DIPOL"}
    return found if key in many else found[0]


def _logical(word: str) -> bool:
    letter = word.strip(".").upper()[:1]
    if letter not in {"T", "F"}:
        msg = f"{word!r} is no logical"
        raise ValueError(msg)
    return letter == "T"


def _repeated(text: str) -> list[str]:
    """Expand `3*0.6 5` to four words."""
    words: list[str] = []
    for word in text.split():
        count, star, value = word.partition("*")
        words += [value] * int(count) if star else [word]
    return words


def _poscar(text: str) -> tuple[Any, ...]:
    lines = text.splitlines()
    try:
        scale = float(lines[1].split()[0])
        cell = np.array([[float(x) for x in line.split()[:3]] for line in lines[2:5]])
        scale = (-scale / abs(np.linalg.det(cell))) ** (1 / 3) if scale < 0 else scale
        cell *= scale
        at = 5
        names: tuple[str, ...] = ()
        if not lines[at].split()[0].isdigit():
            names = tuple(re.split(r"[_/]", word)[0] for word in lines[at].split())
            at += 1
        counts = tuple(int(word) for word in lines[at].split())
        at += 1
        selective = lines[at].strip()[:1].lower() == "s"
        at += selective
        cartesian = lines[at].strip()[:1].lower() in {"c", "k"}
        rows = [line.split() for line in lines[at + 1 : at + 1 + sum(counts)]]
        frac = np.array([[float(x) for x in row[:3]] for row in rows]).reshape(-1, 3)
        free = np.ones(frac.shape, dtype=bool)
        if selective:
            free = np.array([[_logical(x) for x in row[3:6]] for row in rows])
    except (ValueError, IndexError) as error:
        msg = f"ERROR: reading POSCAR: {error}"
        raise DeckError(msg) from error
    if len(frac) != sum(counts) or (names and len(names) != len(counts)):
        msg = "ERROR: there must be as many positions in POSCAR as its counts say"
        raise DeckError(msg)
    if np.linalg.det(cell) <= 0:
        msg = (
            "ERROR: the triple product of the basis vectors is negative exchange two basis vectors"
        )
        raise DeckError(msg)
    if cartesian:
        frac = frac * scale @ np.linalg.inv(cell)
    return lines[0], cell, names, counts, selective, frac, free


def _potcar(text: str) -> tuple[Species, ...]:
    """Read the header of each pseudopotential; each ends with a line `End of Dataset`."""
    found = []
    for block in re.split(r"^\s*End of Dataset.*\n?", text, flags=re.MULTILINE):
        if not block.strip():
            continue
        try:
            found.append(_pseudopotential(block))
        except (AttributeError, ValueError) as error:
            msg = f"ERROR: reading POTCAR: {error}"
            raise DeckError(msg) from error
    return tuple(found)


def _pseudopotential(block: str) -> Species:
    def find(pattern: str) -> str:
        match = re.search(pattern, block)
        if match is None:
            msg = f"no {pattern!r}"
            raise ValueError(msg)
        return match[1].strip()

    return Species(
        titel=block.strip().splitlines()[0].strip(),
        element=find(r"VRHFIN\s*=\s*([A-Z][a-z]?)"),
        valence=float(find(r"ZVAL\s*=\s*([\d.]+)")),
        mass=float(find(r"POMASS\s*=\s*([\d.]+)")),
        enmax=float(find(r"ENMAX\s*=\s*([\d.]+)")),
        lexch=find(r"LEXCH\s*=\s*(\w+)"),
    )
