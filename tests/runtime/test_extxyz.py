from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import voigt_6_to_full_3x3_stress

from hea_flows.alloy.lattice.frames import frames_checksum, max_force
from hea_flows.provenance import settings_id
from hea_flows.runtime.extxyz import read_frames, write_frames

Keys = Literal["ase", "mace"]


def frame(seed: int, *, moments: bool) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = Atoms("VS2", rng.normal(size=(3, 3)), cell=3 * rng.normal(size=(3, 3)), pbc=(1, 1, 0))
    results = {
        "energy": rng.normal() / 3,
        "free_energy": rng.normal() / 7,
        "forces": rng.normal(size=(3, 3)) / 3,
        "stress": 1e-3 * rng.normal(size=6),
    }
    if moments:
        results["magmoms"] = rng.normal(size=3)
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info.update(structure_id=f"0{seed}e4", step=seed, converged=bool(seed % 2), t=0.1 + seed)
    return atoms


@pytest.mark.parametrize("suffix", [".extxyz", ".extxyz.gz", ".extxyz.xz"])
@pytest.mark.parametrize("moments", [False, True])
@pytest.mark.parametrize("keys", ["ase", "mace"])
def test_a_file_read_again_is_identical(
    tmp_path: Path, suffix: str, moments: bool, keys: Keys
) -> None:
    frames = [frame(i, moments=moments) for i in range(4)]
    path, copy = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_frames(path, frames, keys=keys)
    write_frames(copy, read_frames(path), keys=keys)
    if suffix != ".extxyz.gz":  # gzip writes the time
        assert copy.read_bytes() == path.read_bytes()
    assert_same(read_frames(copy), frames)


def assert_same(again: list[Atoms], frames: list[Atoms]) -> None:
    assert len(again) == len(frames)
    assert frames_checksum(again) == frames_checksum(frames)
    for old, new in zip(frames, again, strict=True):
        assert new.info == old.info
        assert {k: type(v) is str for k, v in new.info.items()} == {
            k: type(v) is str for k, v in old.info.items()
        }
        assert set(new.arrays) == {"numbers", "positions"}
        assert new.get_chemical_symbols() == old.get_chemical_symbols()
        assert new.pbc.tolist() == old.pbc.tolist()
        np.testing.assert_array_equal(new.positions, old.positions)
        np.testing.assert_array_equal(new.cell.array, old.cell.array)
        assert set(new.calc.results) == set(old.calc.results)
        for key, value in old.calc.results.items():
            found = np.asarray(new.calc.results[key])
            assert found.shape == np.shape(value)
            assert found.tobytes() == np.asarray(value, dtype=float).tobytes(), key


@pytest.mark.parametrize("keys", ["ase", "mace"])
@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize("symbols", ["Cu", "MoS2WS2VS2"])
def test_numbers_that_need_care(tmp_path: Path, keys: Keys, pbc: Any, symbols: str) -> None:
    """Numbers without a point, the smallest and the largest, signed zero; one atom, nine atoms."""
    n = len(Atoms(symbols))
    care = np.array([1e-05, -0.0, 5e-324, 9.999999999999998, 0.1, 1 / 3, -1e-17, 3.0])
    far = np.array([*care, 1e22, 1.7976931348623157e308])
    rng = np.random.default_rng(0)
    frames = []
    for energy in care:
        atoms = Atoms(symbols, rng.choice(far, (n, 3)), cell=rng.normal(size=(3, 3)), pbc=pbc)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=energy,
            free_energy=-energy,
            forces=rng.choice(care, (n, 3)),
            stress=rng.choice(care, 6),
            magmoms=rng.choice(care, n),
        )
        frames.append(atoms)
    write_frames(tmp_path / "a.xyz", frames, keys=keys)
    assert_same(read_frames(tmp_path / "a.xyz"), frames)


TEXTS = ["True", "T", "nan", "inf", "12345e67", "0123", "a b", "T F", "1,2", 'say "x"', "x=y", "Å"]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_stay_texts(tmp_path: Path, text: str) -> None:
    atoms = frame(0, moments=False)
    atoms.info = {"text": text, "whole": np.int64(3), "yes": np.bool_(True), "x": np.float64(0.1)}
    write_frames(tmp_path / "a.xyz", [atoms])
    [again] = read_frames(tmp_path / "a.xyz")
    assert again.info == {"text": text, "whole": 3, "yes": True, "x": 0.1}
    assert type(again.info["text"]) is str


def test_names_in_the_file(tmp_path: Path) -> None:
    atoms = frame(0, moments=True)
    write_frames(tmp_path / "ase.xyz", [atoms])
    write_frames(tmp_path / "mace.xyz", [atoms], keys="mace")
    headers = {k: (tmp_path / f"{k}.xyz").read_text().split("\n")[1] for k in ("ase", "mace")}
    assert "Properties=species:S:1:pos:R:3:forces:R:3:magmoms:R:1 " in headers["ase"]
    for key in (" energy=", " free_energy=", ' stress="', ' pbc="T T F"'):
        assert key in headers["ase"]
    assert "REF_" not in headers["ase"]
    assert "Properties=species:S:1:pos:R:3:REF_forces:R:3:REF_magmoms:R:1 " in headers["mace"]
    for key in (" REF_energy=", " REF_free_energy=", ' REF_stress="', ' REF_pbc="T T F"'):
        assert key in headers["mace"]
    assert ' pbc="T T T"' in headers["mace"]
    found = re.search(r'REF_stress="([^"]+)"', headers["mace"])
    assert found is not None
    written = np.array(found[1].split(), dtype=float).reshape(3, 3)
    np.testing.assert_array_equal(written, atoms.get_stress(voigt=False))


def test_files_that_mace_users_wrote(tmp_path: Path) -> None:
    """By ASE: eight decimals, stress as 3×3 or Voigt, or none; results of a calculator besides."""
    atoms = frame(0, moments=False)
    stress = np.round(atoms.get_stress(), 8)
    energy, forces = round(atoms.get_potential_energy(), 8), np.round(atoms.get_forces(), 8)
    variants: list[Any] = [voigt_6_to_full_3x3_stress(stress), stress, None]
    for i, variant in enumerate(variants):
        one = Atoms("VS2", np.round(atoms.positions, 8), cell=np.round(atoms.cell, 8), pbc=True)
        one.info["REF_energy"] = energy
        one.arrays["REF_forces"] = forces
        if variant is not None:
            one.info["REF_stress"] = variant
        if i == 1:
            one.calc = SinglePointCalculator(one, energy=1.0)
        ase.io.write(tmp_path / "a.xyz", one, format="extxyz")
        [again] = read_frames(tmp_path / "a.xyz")
        assert again.get_potential_energy() == energy
        np.testing.assert_allclose(again.get_forces(), forces, atol=1e-8)
        if variant is not None:
            np.testing.assert_allclose(again.get_stress(), stress, atol=1e-8)
        assert ("stress" in again.calc.results) == (variant is not None)


def test_vectors_of_moments_keep_their_columns(tmp_path: Path) -> None:
    atoms = frame(2, moments=True)
    atoms.calc.results["magmoms"] = np.random.default_rng(1).normal(size=(3, 3))
    for keys in ("ase", "mace"):
        write_frames(tmp_path / "a.xyz", [atoms], keys=keys)
        assert_same(read_frames(tmp_path / "a.xyz"), [atoms])


def test_compressed_files_are_the_same_each_time(tmp_path: Path) -> None:
    frames = [frame(1, moments=True)]
    for name in ("a.extxyz.xz", "b.extxyz.xz"):
        write_frames(tmp_path / name, frames)
    assert (tmp_path / "a.extxyz.xz").read_bytes() == (tmp_path / "b.extxyz.xz").read_bytes()
    assert (tmp_path / "a.extxyz.xz").read_bytes()[:6] == b"\xfd7zXZ\x00"


def test_max_force_is_the_longest_vector() -> None:
    atoms = frame(0, moments=False)
    atoms.calc.results["forces"] = np.array([[3.0, 4.0, 0.0], [0, 0, 1], [4, 0, 0]])
    assert max_force(atoms) == 5.0


def test_settings_id_hashes_the_rule() -> None:
    rule = {"code": "gpaw", "cutoff": 400.0, "mesh": [12, 12, 1]}
    assert settings_id(rule) == settings_id(dict(reversed(rule.items())))
    assert settings_id(rule) != settings_id(rule | {"cutoff": 520.0})
    # The id is in every label and file: it must not change between versions of this package.
    assert settings_id(rule) == "e9f620f08456"


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no frames file at"):
        read_frames(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").write_text("three\n\nMo 0 0 0")
    with pytest.raises(ValueError, match="is not a readable extended XYZ file: frame 1"):
        read_frames(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").write_text("1\n\nMo 0 0 0\n1\n\nMo 0 0\n")
    with pytest.raises(ValueError, match="is not a readable extended XYZ file: frame 2"):
        read_frames(tmp_path / "a.xyz")
