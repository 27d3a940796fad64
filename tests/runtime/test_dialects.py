"""Frames as other programs write them: read with every number right, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.units import GPa

from hea_flows.runtime.extxyz import read_frames

#: A cube of 4 Å: a volume of 64 Å³, so that virials are exact.
CELL = 'Lattice="4.0 0.0 0.0 0.0 4.0 0.0 0.0 0.0 4.0"'
FORCES = [[0.25, -0.5, 0.0], [-0.25, 0.5, 0.125]]
#: xx, yy, zz, yz, xz, xy in eV/Å³, and the nine numbers of the tensor.
STRESS = [0.5, -0.25, 0.125, 0.0625, -0.03125, 0.015625]
NINE = "0.5 0.015625 -0.03125 0.015625 -0.25 0.0625 -0.03125 0.0625 0.125"
SIX = " ".join(map(str, STRESS))


def virial(numbers: str) -> str:
    return " ".join(repr(-64.0 * float(x)) for x in numbers.split())


def text(header: str, column: str | None = "forces", *more: str, n: int = 2) -> str:
    """Return a frame of two atoms with columns of forces under some names."""
    columns = [c for c in (column, *more) if c]
    properties = "species:S:1:pos:R:3" + "".join(f":{c}:R:3" for c in columns)
    rows = [
        f"{symbol} 0.0 0.0 {2.0 * i} " + " ".join(" ".join(map(str, f)) for _ in columns)
        for i, (symbol, f) in enumerate(zip("VS", FORCES, strict=True))
    ]
    return f"{n}\n{CELL} Properties={properties} {header}\n" + "\n".join(rows) + "\n"


def read(tmp_path: Path, *frames: str, **options: Any) -> list[Atoms]:
    path = tmp_path / "a.xyz"
    path.write_text("".join(frames))
    return read_frames(path, **options)


@pytest.mark.parametrize(
    ("header", "column"),
    [
        (f'energy=-3.5 stress="{NINE}"', "forces"),
        (f'energy=-3.5 stress="{SIX}"', "forces"),
        (f'REF_energy=-3.5 REF_stress="{NINE}"', "REF_forces"),
        (f'REF_energy=-3.5 REF_stress="{SIX}"', "REF_forces"),
        (f'REF_energy=-3.5 REF_virials="{virial(NINE)}"', "REF_forces"),
        (f'dft_energy=-3.5 dft_virial="{virial(NINE)}"', "dft_force"),
        (f'DFT_energy=-3.5 DFT_stress="{NINE}"', "DFT_forces"),
        (f'energy_dft=-3.5 stress_dft="{NINE}"', "forces_dft"),
        (f'Energy=-3.5 virial="{virial(NINE)}"', "force"),
        (f'Energy=-3.5 Virial="{virial(SIX)}"', "Forces"),
        (f'energy=-3.5 virials="{virial(SIX)}"', "forces"),
        (f'energy=-3.5 stress-unit=eV/A^3 energy_unit=eV stress="{NINE}"', "forces"),
        (f'energy=-3.5 forces_units=eV/Ang stress_units="eV/Å³" stress="{NINE}"', "forces"),
        (f'energy=-3.5 REF_stress-unit=eV/angstrom**3 REF_stress="{NINE}"', "forces"),
    ],
)
def test_names_of_other_programs(tmp_path: Path, header: str, column: str) -> None:
    [frame] = read(tmp_path, text(header, column))
    assert frame.get_potential_energy() == -3.5
    assert frame.get_forces().tolist() == FORCES
    # by the volume of the cell, which ASE gives with the last digit wrong
    np.testing.assert_allclose(frame.get_stress(), STRESS, rtol=1e-14 if "irial" in header else 0)
    assert set(frame.calc.results) == {"energy", "forces", "stress"}
    assert frame.info == {}
    assert set(frame.arrays) == {"numbers", "positions"}


def test_stress_in_gigapascals(tmp_path: Path) -> None:
    for key in ("stress-unit", "stress_unit", "stress_units", "Stress-Unit"):
        [frame] = read(tmp_path, text(f'energy=-3.5 {key}=GPa stress="{SIX}"'))
        np.testing.assert_allclose(frame.get_stress(), np.array(STRESS) * GPa, rtol=1e-15)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # MACE's names lack the stress or the energy, which stand under ASE's
        (f'REF_energy=-3.5 stress="{SIX}"', {"energy": -3.5, "stress": STRESS}),
        (f'energy=-3.5 stress="{SIX}"', {"energy": -3.5, "stress": STRESS}),
        ("REF_energy=-3.5 free_energy=-3.625", {"energy": -3.5, "free_energy": -3.625}),
        # a model's predictions beside the labels
        ("REF_energy=-3.5 energy=-3.0", {"energy": -3.5}),
        (f'REF_energy=-3.5 energy=-3.0 free_energy=-3.0 stress="{SIX}"', {"energy": -3.5}),
        (f'REF_energy=-3.5 dft_energy=-3.0 dft_stress="{SIX}" free_energy=-4', {"energy": -3.5,
                                                                               "free_energy": -4}),
        # the same calculation twice
        (f'REF_energy=-3.5 energy=-3.5 stress="{SIX}"', {"energy": -3.5, "stress": STRESS}),
        (f'energy=-3.5 stress="{SIX}" virial="{virial(NINE)}"', {"energy": -3.5, "stress": STRESS}),
    ],
)  # fmt: skip
def test_results_of_several_names_are_merged(
    tmp_path: Path, header: str, expected: dict[str, Any]
) -> None:
    [frame] = read(tmp_path, text(header, "REF_forces"))
    results = {k: np.asarray(v).tolist() for k, v in frame.calc.results.items()}
    assert results == expected | {"forces": FORCES}


def test_predicted_forces_beside_labelled_ones_are_left_out(tmp_path: Path) -> None:
    other = text(f'stress="{SIX}"', "REF_forces", "forces").replace("-0.5", "-0.75")
    rows = other.splitlines()
    rows[2] = "V 0.0 0.0 0.0 0.25 -0.5 0.0 0.3 -0.5 0.0"
    [frame] = read(tmp_path, "\n".join(rows) + "\n")
    assert frame.calc.results["forces"][0].tolist() == FORCES[0]
    assert "stress" not in frame.calc.results


@pytest.mark.parametrize(
    ("header", "column", "message"),
    [
        (f'stress-unit=kB stress="{SIX}"', "forces", "stress in 'kB'; accepted: eV/Å^3, GPa"),
        ("energy-unit=Ha energy=-1", "forces", "energy in 'Ha'; accepted: eV"),
        ("force_units=Ha/Bohr", "forces", "forces in 'Ha/Bohr'; accepted: eV/Å"),
        ("energy=-3.5 Energy=-3.0", "forces", "two values of energy, one of them Energy"),
        (f'stress="{SIX}" virial="{virial(SIX)[:2]}1.5{virial(SIX)[5:]}"', "forces",
         "two values of stress, one of them virial; its keys are forces, stress, virial"),
        ('stress="1 2 3 4 5"', "forces", "stress is [1. 2. 3. 4. 5.]; expected 6 numbers or 9"),
        ('dft_energy="1 2"', "forces", "dft_energy is [1 2]; expected one number"),
        ("energy=T", "forces", "energy is True; expected one number"),
        ("REF_energy=none", "forces", "REF_energy is none; expected one number"),
        ("energy=nan", "forces", "energy has nan eV/atom; no solid has more than 1e+06"),
        ("energy=-3e6", "forces", "energy has 1.5e+06 eV/atom; no solid has more than 1e+06"),
        ('stress="50 20 30 0 0 0"', "forces", "stress has 50 eV/Å^3; no solid has more than 10"),
        ('virial="1e4 0 0 0 0 0"', "forces", "virial is a stress of 156 eV/Å^3; no solid has"),
        ('stress="0 0 0.3 0 0 0 0 0 0"', "forces", "stress is not symmetric"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(tmp_path: Path, header: str, column: str, message: str) -> None:
    good = text("energy=-3.5")
    with pytest.raises(ValueError, match=r"a\.xyz, frame 3: ") as told:
        read(tmp_path, good, good, text(header, column), good)
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


def test_forces_that_no_solid_has(tmp_path: Path) -> None:
    large = text("energy=-3.5").replace("0.25 -0.5", "2500.0 -0.5")
    with pytest.raises(ValueError, match=r"frame 1: forces has 2\.5e\+03 eV/Å; no solid has more"):
        read(tmp_path, large)


def test_a_virial_without_a_cell_is_no_stress(tmp_path: Path) -> None:
    bare = text(f'energy=-3.5 virial="{SIX}"').replace(CELL, 'pbc="F F F"')
    with pytest.raises(ValueError, match="frame 1: virial is per volume of the cell"):
        read(tmp_path, bare)


def test_what_is_needed_and_missing_is_named_with_what_is_there(tmp_path: Path) -> None:
    good, other = text("energy=-3.5"), text("mace_energy=-3.0 free_energy=-3.5", "mace_forces")
    needs = ("energy", "forces")
    assert len(read(tmp_path, good, good, needs=needs)) == 2
    with pytest.raises(ValueError, match="frame 2: no energy and no forces; its keys") as told:
        read(tmp_path, good, other, needs=needs)
    assert str(told.value).endswith("its keys are free_energy, mace_energy, mace_forces")
    [frame] = read(tmp_path, other)
    assert set(frame.calc.results) == {"free_energy"}
    assert frame.info == {"mace_energy": -3.0}
    assert set(frame.arrays) == {"numbers", "positions", "mace_forces"}
    with pytest.raises(ValueError, match="frame 1: no energy; its keys are none"):
        read(tmp_path, "1\n\nMo 0 0 0\n", needs=["energy"])


def test_other_results_and_names_stay(tmp_path: Path) -> None:
    [frame] = read(tmp_path, text('energy=-3.5 dipole="0 0 1" stress_relaxed=2 unit_cell=3', "dft"))
    assert frame.calc.results["dipole"].tolist() == [0, 0, 1]
    assert frame.info == {"stress_relaxed": 2, "unit_cell": 3}
    assert "dft" in frame.arrays
