from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from hea_flows.alloy.frames import checksum, max_force, read_frames, settings_id, write_frames


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
def test_a_file_read_again_is_identical(tmp_path: Path, suffix: str, moments: bool) -> None:
    frames = [frame(i, moments=moments) for i in range(4)]
    path = tmp_path / f"a{suffix}"
    write_frames(path, frames)
    again = read_frames(path)
    assert len(again) == 4
    assert checksum(again) == checksum(frames)
    for old, new in zip(frames, again, strict=True):
        assert new.info["step"] == old.info["step"]
        assert new.info["converged"] is old.info["converged"]
        assert new.info["t"] == old.info["t"]
        assert new.info["structure_id"] == old.info["structure_id"]
        assert new.pbc.tolist() == old.pbc.tolist()
        np.testing.assert_array_equal(new.positions, old.positions)
        np.testing.assert_array_equal(new.cell.array, old.cell.array)
        for key, value in old.calc.results.items():
            np.testing.assert_array_equal(new.calc.results[key], value, err_msg=key)


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
    with pytest.raises(ValueError, match="is not a readable extended XYZ file"):
        read_frames(tmp_path / "a.xyz")
