"""Materials Project's own judgement (pymatgen-io-validation) of VASP inputs and outputs."""

from __future__ import annotations

from pathlib import Path

from monty.os.path import zpath
from pymatgen.core import Structure
from pymatgen.io.validation.common import VaspFiles, VaspInputSafe
from pymatgen.io.validation.validation import DEFAULT_CHECKS, VaspValidator
from pymatgen.io.vasp.inputs import PotcarSingle
from pymatgen.io.vasp.sets import VaspInputSet

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.reference.vasp.maker import VaspMaker
from hea_flows.reference.vasp.settings import potcar_symbols

_METALS = ("Mo", "Ta", "Nb", "W", "V")


def input_objections(inputs: VaspInputSet, structure: Structure) -> list[str]:
    """Return why Materials Project would not take a calculation with these inputs.

    POTCARs are not compared: `input_objections` works where none are installed.

    Parameters
    ----------
    inputs
        The input set.
    structure
        The structure it is for.
    """
    files = inputs.get_input_set(structure, potcar_spec=True)
    given = VaspInputSafe(
        incar=files["INCAR"] | {"GGA": "PE"},  # what a PBE POTCAR says of itself
        structure=structure,
        kpoints=files["KPOINTS"],
        potcar=None,
        potcar_functional="PBE",
    )
    checks = [check for check in DEFAULT_CHECKS if check.__name__ != "CheckPotcar"]
    reasons, _ = VaspValidator.run_checks(VaspFiles(user_input=given), check_list=checks)
    return sorted(" ".join(reason.split()) for reason in reasons)


def output_objections(folder: Path, *, check_potcar: bool = True) -> list[str]:
    """Return why Materials Project would not take a finished calculation.

    Parameters
    ----------
    folder
        Holds INCAR, KPOINTS, POSCAR, POTCAR, OUTCAR and vasprun.xml, compressed or not.
    check_potcar
        Whether the POTCARs are compared with Materials Project's.
    """
    names = ("INCAR", "POSCAR", "KPOINTS", "POTCAR", "OUTCAR", "vasprun.xml")
    paths = {name.partition(".")[0].lower(): Path(zpath(folder / name)) for name in names}
    validator = VaspValidator.from_vasp_input(vasp_file_paths=paths, check_potcar=check_potcar)
    return sorted(" ".join(reason.split()) for reason in validator.reasons)


def demonstration_objections() -> list[str]:
    """Return Materials Project's objections to a relaxation of MoS2 with the default rule."""
    unit = Ordering(Alloy(_METALS), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",))
    atoms = unit.to_atoms()
    positions = atoms.get_scaled_positions()
    structure = Structure(atoms.cell.array, atoms.get_chemical_symbols(), positions)
    inputs = VaspMaker().maker_for(unit).input_set_generator
    return input_objections(inputs, structure)


def missing_potcars() -> list[str]:
    """Return the POTCARs of the demonstration alloy that this machine has not."""
    inputs = VaspMaker().vasp.input_set_generator
    missing = []
    for symbol in potcar_symbols(inputs, [*_METALS, "S"]).values():
        try:
            PotcarSingle.from_symbol_and_functional(symbol, "PBE")
        except (OSError, ValueError):
            missing.append(symbol)
    return missing
