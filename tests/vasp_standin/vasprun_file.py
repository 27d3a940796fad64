"""Write vasprun.xml as the run goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from vasp_standin import results
from vasp_standin.deck import Deck
from vasp_standin.results import Energies, IonicStep

VERSION = "6.5.0"
_POINTS_OF_DOS = 301

# Name and value of what VASP writes besides INCAR; a value's Python type is its XML type.
_PARAMETERS: dict[str, dict[str, Any]] = {
    "general": {"SYSTEM": "unknown system", "LCOMPAT": False},
    "electronic": {
        "PREC": "normal", "ENMAX": None, "ENAUG": 644.873, "EDIFF": None, "IALGO": 38,
        "IWAVPR": 11, "NBANDS": None, "NELECT": None, "TURBO": 0, "IRESTART": 0, "NREBOOT": 0,
        "NMIN": 0, "EREF": 0.0,
    },
    "electronic smearing": {"ISMEAR": None, "SIGMA": None, "KSPACING": 0.5, "KGAMMA": True},
    "electronic projectors": {"LREAL": False, "LMAXPAW": -100, "LMAXMIX": 2, "NLSPLINE": False},
    "electronic startup": {"ISTART": 0, "ICHARG": 2, "INIWAV": 1},
    "electronic spin": {
        "ISPIN": 1, "LNONCOLLINEAR": False, "MAGMOM": None, "NUPDOWN": -1.0, "LSORBIT": False,
        "LSPIRAL": False,
    },
    "electronic exchange-correlation": {"LASPH": False, "LMETAGGA": False},
    "electronic convergence": {
        "NELM": None, "NELMDL": -5, "NELMIN": 2, "ENINI": None, "LDIAG": True, "LSUBROT": False,
        "WEIMIN": 0.001, "EBREAK": 1e-7, "DEPER": 0.3, "TIME": 0.4,
    },
    "electronic mixer": {
        "AMIX": 0.4, "BMIX": 1.0, "AMIN": 0.1, "AMIX_MAG": 1.6, "BMIX_MAG": 1.0, "IMIX": 4,
        "MIXFIRST": False, "MAXMIX": -45, "WC": 100.0, "INIMIX": 1, "MIXPRE": 1, "MREMOVE": 5,
    },
    "electronic dipolcorrection": {
        "LDIPOL": False, "LMONO": False, "IDIPOL": 0, "EPSILON": 1.0, "EFIELD": 0.0,
    },
    "grids": {
        "NGX": 32, "NGY": 32, "NGZ": 32, "NGXF": 64, "NGYF": 64, "NGZF": 64, "ADDGRID": False,
    },
    "ionic": {
        "NSW": None, "IBRION": None, "MDALGO": 0, "ISIF": None, "PSTRESS": 0.0, "EDIFFG": None,
        "NFREE": 1, "POTIM": 0.5, "SMASS": -3.0, "SCALEE": 1.0,
    },
    "ionic md": {"TEBEG": 1e-4, "TEEND": 1e-4, "NBLOCK": 1, "KBLOCK": 1, "NPACO": 256},
    "symmetry": {"ISYM": 2, "SYMPREC": 1e-5},
    "dos": {"LORBIT": 0, "NEDOS": 301, "EMIN": 10.0, "EMAX": -10.0, "EFERMI": 0.0},
    "writing": {
        "NWRITE": 2, "LWAVE": True, "LCHARG": True, "LPARD": False, "LVTOT": False,
        "LVHAR": False, "LELF": False, "LOPTICS": False,
    },
    "performance": {
        "NPAR": 1, "NSIM": 4, "NBLK": -1, "LPLANE": True, "LSCALAPACK": False, "LSCALU": False,
        "LASYNC": False, "LORBITALREAL": False,
    },
    "miscellaneous": {"IDIOT": 3, "LMUSIC": False, "POMASS": None, "LCORR": True},
}  # fmt: skip
_PARAMETERS_AT_THE_END: dict[str, Any] = {
    "GGA_COMPAT": True, "LBERRY": False, "ICORELEVEL": 0, "LDAU": False, "I_CONSTRAINED_M": 0,
}  # fmt: skip
_EXCHANGE: dict[str, Any] = {
    "GGA": "PE", "VOSKOWN": 0, "LHFCALC": False, "LHFONE": False, "LTHOMAS": False, "AEXX": 0.0,
    "ALDAX": 1.0, "AGGAX": 1.0, "ALDAC": 1.0, "AGGAC": 1.0, "HFSCREEN": 0.0, "LMAXFOCK": 0,
}  # fmt: skip


class VasprunFile:
    """vasprun.xml, flushed after every block: a killed run leaves what VASP leaves."""

    def __init__(self, folder: Path, deck: Deck) -> None:
        self.deck = deck
        self.stream: TextIO = (folder / "vasprun.xml").open("w", encoding="iso-8859-1")
        self._write(self._header())

    def _write(self, lines: Iterable[str]) -> None:
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()

    def begin_step(self) -> None:
        """Open the block of an ionic step."""
        self._write([" <calculation>"])

    def electronic_step(self, step: IonicStep, index: int, *, full: bool) -> None:
        """Write one electronic step; the first and the last carry all contributions."""
        free = step.electronic[index]
        shift = free - step.energies.free
        shown = Energies(
            free,
            step.energies.without_entropy + shift,
            step.energies.zero + shift,
            step.energies.entropy,
        )
        lines = [
            "  <scstep>",
            '   <time name="dav">    0.01    0.01</time>',
            '   <time name="total">    0.01    0.01</time>',
            "   <energy>",
        ]
        if full:
            lines += [
                _number(name, value, "    ")
                for name, value in (
                    ("alphaZ", 0.0),
                    ("ewald", 0.0),
                    ("eentropy", shown.entropy),
                    ("bandstr", shown.free - shown.entropy),
                    ("atom", 0.0),
                )
            ]
        self._write([*lines, *_energies(shown, "    "), "   </energy>", "  </scstep>"])

    def ionic_step(self, step: IonicStep) -> None:
        """Write geometry, forces, stress and energies of an ionic step."""
        lines = ["  <structure>", *_crystal(step.cell, step.frac, "   "), "  </structure>"]
        lines += _array("forces", step.forces, "  ")
        if self.deck.get("ISIF") >= 2:
            lines += _array("stress", step.pressure, "  ")
        lines += ["  <energy>", *_energies(step.energies, "   "), "  </energy>"]
        self._write([*lines, '  <time name="totalsc">    0.10    0.10</time>'])

    def end_step(self) -> None:
        """Close the block of an ionic step."""
        self._write([" </calculation>"])

    def band_structure(self) -> None:
        """Write the placeholder eigenvalues and total densities of states of the last step."""
        self._write(_eigenvalues(results.bands(self.deck)))
        self._write(_density(results.bands(self.deck)))

    def end(self, cell: NDArray[np.float64], frac: NDArray[np.float64]) -> None:
        """Write the final structure and close the file."""
        lines = [' <structure name="finalpos" >', *_crystal(cell, frac, "  ")]
        self._write([*lines, *self._selective(), " </structure>", "</modeling>"])
        self.stream.close()

    def _selective(self) -> list[str]:
        if not self.deck.selective:
            return []
        rows = ["".join(f"  {'T' if free else 'F'}  " for free in row) for row in self.deck.free]
        shown = [f'   <v type="logical" > {row}</v>' for row in rows]
        return ['  <varray type="logical" name="selective" >', *shown, "  </varray>"]

    def _header(self) -> Iterator[str]:
        deck = self.deck
        yield '<?xml version="1.0" encoding="ISO-8859-1"?>'
        yield "<modeling>"
        yield " <generator>"
        for name, text in (
            ("program", "vasp "),
            ("version", f"{VERSION}  "),
            ("subversion", "stand-in (energies: CHGNet 0.3.0) serial "),
            ("platform", "Linux "),
            ("date", time.strftime("%Y %m %d ")),
            ("time", time.strftime("%H:%M:%S ")),
        ):
            yield f'  <i name="{name}" type="string">{text}</i>'
        yield " </generator>"
        yield " <incar>"
        for name, value in deck.incar.items():
            yield _tag(name, value, "  ")
        yield " </incar>"
        yield from self._kpoints()
        yield from self._parameters()
        yield from self._atoms()
        yield ' <structure name="initialpos" >'
        yield from _crystal(deck.cell, deck.frac, "  ")
        yield from self._selective()
        yield " </structure>"

    def _kpoints(self) -> Iterator[str]:
        mesh = self.deck.mesh
        yield " <kpoints>"
        if mesh.style != "explicit":
            yield f'  <generation param="{mesh.style}">'
            if mesh.divisions is not None:
                numbers = "".join(f"{n:9d}" for n in mesh.divisions)
                yield f'   <v type="int" name="divisions">{numbers} </v>'
                yield _tag("usershift", list(mesh.shift), "   ")
            for index, vector in enumerate(mesh.vectors, 1):
                yield _tag(f"genvec{index}", list(vector), "   ")
            yield _tag("shift", list(mesh.shift), "   ")
            yield "  </generation>"
        yield from _array("kpointlist", mesh.points, "  ")
        yield from _array("weights", mesh.weights[:, None], "  ")
        yield " </kpoints>"

    def _parameters(self) -> Iterator[str]:
        deck = self.deck
        known: dict[str, Any] = {
            tag: deck.get(tag)
            for tag in ("EDIFF", "ISMEAR", "SIGMA", "NELM", "NSW", "IBRION", "ISIF", "EDIFFG")
        }
        known |= {
            "ENMAX": float(deck.get("ENCUT")),
            "ENINI": float(deck.get("ENCUT")),
            "NBANDS": results.n_bands(deck),
            "NELECT": deck.n_electrons,
            "MAGMOM": [1.0] * deck.n_atoms,
            "POMASS": [s.mass for s in deck.species],
        }
        known |= {tag: value for tag, value in deck.incar.items() if tag not in known}
        if "MAGMOM" in deck.incar:
            known["MAGMOM"] = deck.incar["MAGMOM"]
        known["LREAL"] = str(known.get("LREAL", "F")).strip(".").upper()[:1] in {"T", "A", "O"}
        known["PREC"] = str(known.get("PREC", "normal")).lower()
        yield " <parameters>"
        for title, entries in _PARAMETERS.items():
            yield from _section(title, entries, known)
        for name, value in _PARAMETERS_AT_THE_END.items():
            yield _tag(name, known.get(name, value), "  ")
        yield from _section("electronic exchange-correlation", _EXCHANGE, known)
        yield " </parameters>"

    def _atoms(self) -> Iterator[str]:
        deck = self.deck
        yield " <atominfo>"
        yield f"  <atoms>{deck.n_atoms:8d} </atoms>"
        yield f"  <types>{len(deck.counts):8d} </types>"
        yield '  <array name="atoms" >'
        yield '   <dimension dim="1">ion</dimension>'
        yield '   <field type="string">element</field>'
        yield '   <field type="int">atomtype</field>'
        yield "   <set>"
        for kind, (species, count) in enumerate(zip(deck.species, deck.counts, strict=True), 1):
            for _ in range(count):
                yield f"    <rc><c>{species.element:<2}</c><c>{kind:4d}</c></rc>"
        yield "   </set>"
        yield "  </array>"
        yield '  <array name="atomtypes" >'
        yield '   <dimension dim="1">type</dimension>'
        for kind, field in (
            (' type="int"', "atomspertype"),
            (' type="string"', "element"),
            ("", "mass"),
            ("", "valence"),
            (' type="string"', "pseudopotential"),
        ):
            yield f"   <field{kind}>{field}</field>"
        yield "   <set>"
        for species, count in zip(deck.species, deck.counts, strict=True):
            yield (
                f"    <rc><c>{count:4d}</c><c>{species.element:<2}</c><c>{species.mass:16.8f}</c>"
                f"<c>{species.valence:16.8f}</c><c> {species.titel:<39}</c></rc>"
            )
        yield "   </set>"
        yield "  </array>"
        yield " </atominfo>"


def _section(title: str, entries: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    yield f'  <separator name="{title}" >'
    for name, default in entries.items():
        yield _tag(name, known.get(name, default), "   ")
    yield "  </separator>"


def _tag(name: str, value: Any, indent: str) -> str:
    """Return one INCAR tag or parameter with VASP's type attribute."""
    values = value if isinstance(value, list) else [value]
    element = "v" if isinstance(value, list) else "i"
    if isinstance(values[0], bool):
        text, kind = "".join(f" {'T' if v else 'F'}  " for v in values), ' type="logical"'
    elif isinstance(values[0], int):
        text, kind = "".join(f"{v:6d}" for v in values), ' type="int"'
    elif isinstance(values[0], float):
        text, kind = "".join(f"{v:16.8f}" for v in values), ""
    else:
        text = str(value).replace("&", "&amp;").replace("<", "&lt;")
        kind = ' type="string"'
    return f'{indent}<{element}{kind} name="{name}">{text}</{element}>'


def _number(name: str, value: float, indent: str) -> str:
    return f'{indent}<i name="{name}">{value:16.8f} </i>'


def _energies(energies: Energies, indent: str) -> list[str]:
    return [
        _number("e_fr_energy", energies.free, indent),
        _number("e_wo_entrp", energies.without_entropy, indent),
        _number("e_0_energy", energies.zero, indent),
    ]


def _array(name: str, rows: NDArray[np.float64], indent: str) -> list[str]:
    shown = [f"{indent} <v>{''.join(_f16(x) for x in row)} </v>" for row in rows]
    return [f'{indent}<varray name="{name}" >', *shown, f"{indent}</varray>"]


def _f16(value: float) -> str:
    return "             NaN" if np.isnan(value) else f"{value:16.8f}"


def _crystal(cell: NDArray[np.float64], frac: NDArray[np.float64], indent: str) -> list[str]:
    inner = _array("basis", cell, f"{indent} ")
    inner.append(_number("volume", float(abs(np.linalg.det(cell))), f"{indent} "))
    inner += _array("rec_basis", np.linalg.inv(cell).T, f"{indent} ")
    crystal = [f"{indent}<crystal>", *inner, f"{indent}</crystal>"]
    return crystal + _array("positions", frac, indent)


def _eigenvalues(bands: results.Bands) -> Iterator[str]:
    yield "  <eigenvalues>"
    yield "   <array>"
    for index, name in enumerate(("band", "kpoint", "spin"), 1):
        yield f'    <dimension dim="{index}">{name}</dimension>'
    yield "    <field>eigene</field>"
    yield "    <field>occ</field>"
    yield "    <set>"
    for spin, (energies, fillings) in enumerate(
        zip(bands.eigenvalues, bands.occupations, strict=True), 1
    ):
        yield f'     <set comment="spin {spin}">'
        for point, (row, filling) in enumerate(zip(energies, fillings, strict=True), 1):
            yield f'      <set comment="kpoint {point}">'
            for energy, occupation in zip(row, filling, strict=True):
                yield f"       <r> {energy:9.4f}    {occupation:6.4f} </r>"
            yield "      </set>"
        yield "     </set>"
    yield "    </set>"
    yield "   </array>"
    yield "  </eigenvalues>"


def _density(bands: results.Bands) -> Iterator[str]:
    levels = bands.eigenvalues[0, 0]
    energies = np.linspace(levels[0] - 1, levels[-1] + 1, _POINTS_OF_DOS)
    width = energies[1] - energies[0]
    density = np.histogram(levels, bins=np.append(energies, energies[-1] + width))[0] / width
    total = np.cumsum(density) * width
    yield "  <dos>"
    yield _number("efermi", bands.fermi, "   ")
    yield "   <total>"
    yield "    <array>"
    yield '     <dimension dim="1">gridpoints</dimension>'
    yield '     <dimension dim="2">spin</dimension>'
    for name in ("energy", "total", "integrated"):
        yield f"     <field>{name}</field>"
    yield "     <set>"
    for spin in range(1, len(bands.eigenvalues) + 1):
        yield f'      <set comment="spin {spin}">'
        for row in zip(energies, density, total, strict=True):
            yield f"       <r> {row[0]:10.4f} {row[1]:10.4f} {row[2]:10.4f} </r>"
        yield "      </set>"
    yield "     </set>"
    yield "    </array>"
    yield "   </total>"
    yield "  </dos>"
