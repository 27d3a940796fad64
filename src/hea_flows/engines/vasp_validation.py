"""Materials Project's own judgement (pymatgen-io-validation) of VASP inputs and outputs."""

from __future__ import annotations

from pathlib import Path

from pymatgen.core import Structure
from pymatgen.io.validation.common import VaspFiles, VaspInputSafe
from pymatgen.io.validation.validation import DEFAULT_CHECKS, VaspValidator
from pymatgen.io.vasp.sets import VaspInputSet


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
    found = inputs.get_input_set(structure, potcar_spec=True)
    given = VaspInputSafe(
        incar=found["INCAR"] | {"GGA": "PE"},  # what a PBE POTCAR says of itself
        structure=structure,
        kpoints=found["KPOINTS"],
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
    from monty.os.path import zpath

    names = ("INCAR", "POSCAR", "KPOINTS", "POTCAR", "OUTCAR", "vasprun.xml")
    paths = {name.partition(".")[0].lower(): Path(zpath(folder / name)) for name in names}
    found = VaspValidator.from_vasp_input(vasp_file_paths=paths, check_potcar=check_potcar)
    return sorted(" ".join(reason.split()) for reason in found.reasons)
