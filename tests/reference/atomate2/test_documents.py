"""Documents of several codes: the same frames in the units and with the signs of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import Bohr, GPa, Hartree
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.reference.atomate2.documents import DIALECTS, converged, frames_of, versions


def path() -> list[Atoms]:
    """Return three geometries of four atoms with EMT's results."""
    frames = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.symbols[1] = "Au"
        atoms.set_cell(atoms.cell.array * [[1.02], [0.99], [1.0 - 0.01 * seed]], scale_atoms=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_potential_energy()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    return frames


ORDER = [1, 3, 2, 0]


def structure(atoms: Atoms) -> dict[str, Any]:
    plain: dict[str, Any] = AseAtomsAdaptor.get_structure(_bare(atoms)[ORDER]).as_dict()
    return plain


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)


def tensor(atoms: Atoms, factor: float) -> list[list[float]]:
    found: list[list[float]] = (factor * voigt_6_to_full_3x3_stress(atoms.get_stress())).tolist()
    return found


def ase_document(frames: list[Atoms]) -> dict[str, Any]:
    steps = [
        {
            "mol_or_struct": structure(f),
            "energy": f.get_potential_energy(),
            "forces": f.get_forces()[ORDER].tolist(),
            "stress": tensor(f, -10 / GPa),
            "magmoms": None,
        }
        for f in frames
    ]
    return {"@module": "atomate2.ase.schemas", "@class": "X", "output": {"ionic_steps": steps}}


def vasp_document(frames: list[Atoms]) -> dict[str, Any]:
    """Two runs in one folder, the last first; VASP's own energy of a step is wrong."""

    def step(f: Atoms) -> dict[str, Any]:
        energy = f.get_potential_energy()
        return {
            "structure": structure(f),
            "e_0_energy": energy + 7.0,
            "e_fr_energy": energy - 0.25,
            "electronic_steps": [{}, {"e_0_energy": energy - 3.0, "e_fr_energy": energy - 3.25}],
            "forces": f.get_forces()[ORDER].tolist(),
            "stress": tensor(f, -10 / GPa),
        }

    runs = [[step(f) for f in frames[:2]], [step(f) for f in frames[2:]]]
    calculations = [{"vasp_version": "6.4.3", "output": {"ionic_steps": r}} for r in runs[::-1]]
    return {
        "@module": "emmet.core.tasks",
        "@class": "TaskDoc",
        "output": {"energy": 0.0},
        "calcs_reversed": calculations,
    }


def cp2k_document(frames: list[Atoms]) -> dict[str, Any]:
    steps = [
        {
            "structure": structure(f),
            "E": f.get_potential_energy(),
            "forces": (f.get_forces()[ORDER] * Bohr / Hartree).tolist(),
            "stress_tensor": tensor(f, -1 / GPa),
        }
        for f in frames
    ]
    return {
        "@module": "atomate2.cp2k.schemas.task",
        "@class": "TaskDocument",
        "output": {},
        "calcs_reversed": [{"cp2k_version": "2023.1", "output": {"ionic_steps": steps}}],
    }


def final_document(module: str, factor: float, frames: list[Atoms]) -> dict[str, Any]:
    last = frames[-1]
    output = {
        "structure": structure(last),
        "energy": last.get_potential_energy(),
        "forces": last.get_forces()[ORDER].tolist(),
        "stress": tensor(last, factor),
    }
    calculations = [{"output": {"energy": output["energy"]}}]
    return {"@module": module, "@class": "X", "output": output, "calcs_reversed": calculations}


def aims_document(frames: list[Atoms]) -> dict[str, Any]:
    return final_document("atomate2.aims.schemas.task", 10 / GPa, frames)


def abinit_document(frames: list[Atoms]) -> dict[str, Any]:
    return final_document("atomate2.abinit.schemas.task", 1 / GPa, frames)


@pytest.mark.parametrize(
    ("document", "n"),
    [
        (ase_document, 3),
        (vasp_document, 3),
        (cp2k_document, 3),
        (aims_document, 1),
        (abinit_document, 1),
    ],
)
def test_frames_are_those_that_were_computed(document: Any, n: int) -> None:
    frames = path()
    start = _bare(frames[0])
    start.pbc = (True, True, False)
    found = frames_of(document(frames), start)
    assert len(found) == n
    for frame, expected in zip(found, frames[-n:], strict=True):
        assert frame.get_chemical_symbols() == expected.get_chemical_symbols()
        assert frame.pbc.tolist() == [True, True, False]
        shift = frame.get_scaled_positions(wrap=False) - expected.get_scaled_positions(wrap=False)
        np.testing.assert_allclose(shift - np.rint(shift), 0, atol=1e-10)
        np.testing.assert_allclose(frame.cell.array, expected.cell.array, atol=1e-12)
        results = frame.calc.results
        assert results["energy"] == pytest.approx(expected.get_potential_energy(), abs=1e-10)
        np.testing.assert_allclose(results["forces"], expected.get_forces(), atol=1e-10)
        np.testing.assert_allclose(results["stress"], expected.get_stress(), atol=1e-10)


def test_free_energies_are_kept_where_they_are_told() -> None:
    frames = path()
    for frame in frames_of(vasp_document(frames), _bare(frames[0])):
        results = frame.calc.results
        assert results["free_energy"] == pytest.approx(results["energy"] - 0.25, abs=1e-10)
    assert "free_energy" not in frames_of(aims_document(frames), frames[0])[0].calc.results


def test_what_a_document_says_of_itself() -> None:
    frames = path()
    assert versions(vasp_document(frames)) == {"vasp": "6.4.3"}
    assert versions(aims_document(frames)) == {}
    assert converged({"state": "successful"})
    assert converged({})
    assert not converged({"state": "failed"})


def test_a_document_of_another_package_is_refused() -> None:
    other = {"@module": "atomate2.qchem.schemas.task", "@class": "TaskDoc", "output": {}}
    for document, what in (
        (other, "class atomate2.qchem.schemas.task.TaskDoc"),
        (3.0, "type float"),
    ):
        with pytest.raises(
            ValueError, match=f"output is of {what}; accepted are .*{[*DIALECTS][-1]}"
        ):
            frames_of(document, path()[0])  # type: ignore[arg-type]
