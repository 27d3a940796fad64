"""Synthetic POTCARs: a header that programs parse, no pseudopotential."""

from __future__ import annotations

import gzip
from pathlib import Path

#: Symbol to element, valence electrons, mass (u) and cut-off (eV; round, not the real one).
_POTENTIALS = {
    "Ti_pv": ("Ti", 10, 47.88, 220),
    "V_pv": ("V", 11, 50.941, 265),
    "Cr_pv": ("Cr", 12, 51.996, 265),
    "Zr_sv": ("Zr", 12, 91.224, 230),
    "Nb_pv": ("Nb", 11, 92.910, 210),
    "Mo_pv": ("Mo", 12, 95.940, 225),
    "Hf_pv": ("Hf", 10, 178.490, 220),
    "Ta_pv": ("Ta", 11, 180.948, 225),
    "W_pv": ("W", 12, 183.850, 225),
    "W_sv": ("W", 14, 183.850, 225),
    "O": ("O", 6, 16.000, 400),
    "S": ("S", 6, 32.066, 260),
    "Se": ("Se", 6, 78.960, 210),
    "Te": ("Te", 6, 127.600, 175),
    "Si": ("Si", 4, 28.085, 245),
}
#: Folders as pymatgen names the generations; W_pv ended with PBE_54, W_sv came with it.
_GENERATIONS = {
    "POT_GGA_PAW_PBE": {"W_sv"},
    "POT_GGA_PAW_PBE_54": {"W_pv"},
}


def write_psp_dir(folder: Path) -> None:
    """Write what PMG_VASP_PSP_DIR points to: generations PBE and PBE_54."""
    for name, missing in _GENERATIONS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for symbol in _POTENTIALS.keys() - missing:
            path = folder / name / f"POTCAR.{symbol}.gz"
            path.write_bytes(gzip.compress(potcar(symbol).encode(), mtime=0))


def potcar(symbol: str) -> str:
    """Return a POTCAR such as `Mo_pv`."""
    element, valence, mass, cutoff = _POTENTIALS[symbol]
    titel = f"PAW_PBE {symbol} 01Jan2000"
    return f"""\
  {titel}
   {valence:.13f}
 parameters from PSCTR are:
   VRHFIN ={element}: synthetic, no pseudopotential
   LEXCH  = PE
   EATOM  = {100.0 * valence:10.4f} eV, {7.35 * valence:9.4f} Ry

   TITEL  = {titel}
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        1    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =    2.000    partial core radius
   POMASS = {mass:8.3f}; ZVAL   = {valence:8.3f}    mass and valenz
   RCORE  =    2.300    outmost cutoff radius
   RWIGS  =    2.750; RWIGS  =    1.455    wigner-seitz radius (au A)
   ENMAX  = {cutoff:8.3f}; ENMIN  = {0.75 * cutoff:8.3f} eV
   ICORE  =        3    local potential
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
   EAUG   =  500.000
   DEXC   =    0.000
   RMAX   =    2.800    core radius for proj-oper
   RAUG   =    1.300    factor for augmentation sphere
   RDEP   =    2.300    radius for radial grids
   RDEPT  =    1.900    core radius for aug-charge
   QCUT   =   -4.000; QGAM   =    8.000    optimization parameters
END of PSCTR-controll parameters
 SYNTHETIC: written by the tests of hea-flows, holds no pseudopotential
 0.0
 End of Dataset
"""
