from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from hea_flows.alloy.frames import read_frames
from hea_flows.results.export import dataset_frames, export_dataset
from hea_flows.results.report import ReportInputs


@pytest.mark.parametrize("name", ["d.extxyz", "d.extxyz.gz", "d.extxyz.xz"])
def test_the_file_holds_every_digit(inputs: ReportInputs, tmp_path: Path, name: str) -> None:
    [dataset] = inputs.datasets
    path = tmp_path / name
    assert export_dataset(dataset, path) == 150
    frames = read_frames(path)
    assert len(frames) == 150
    seen = set()
    for frame in frames:
        trajectory = dataset.trajectories[frame.info["structure_id"]]
        step = int(frame.info["step"])
        seen.add((frame.info["structure_id"], step))
        results = frame.calc.results
        assert frame.get_chemical_symbols() == trajectory.symbols
        assert frame.pbc.tolist() == list(trajectory.pbc)
        assert np.array_equal(frame.cell.array, trajectory.cells[step])
        assert np.array_equal(frame.positions, trajectory.positions[step])
        assert results["energy"] == trajectory.energies[step]
        assert results["free_energy"] == trajectory.free_energies[step]
        assert np.array_equal(results["forces"], trajectory.forces[step])
        assert np.array_equal(results["stress"], trajectory.stresses[step])
        if trajectory.magmoms is None:
            assert "magmoms" not in results
        else:
            assert np.array_equal(np.ravel(results["magmoms"]), trajectory.magmoms[step])
    assert len(seen) == 150


def test_suffixes_compress(inputs: ReportInputs, tmp_path: Path) -> None:
    [dataset] = inputs.datasets
    texts = []
    for name, opener in (("d.xyz", open), ("d.xyz.gz", gzip.open), ("d.xyz.xz", lzma.open)):
        export_dataset(dataset, tmp_path / name)
        with opener(tmp_path / name, "rt", encoding="utf-8") as handle:
            texts.append(handle.read())
    assert texts[0] == texts[1] == texts[2]


def test_frames_tell_their_split_and_origin(inputs: ReportInputs) -> None:
    [dataset] = inputs.datasets
    frames = dataset_frames(dataset)
    splits = [f.info["split"] for f in frames]
    assert {s: splits.count(s) for s in set(splits)} == {
        "train": 84,
        "test": 15,
        "validation": 6,
        "held-out": 45,
    }
    for name in ("train", "test", "validation"):
        assert [i for i, s in enumerate(splits) if s == name] == sorted(getattr(dataset, name))
    held = {f.info["structure_id"] for f in frames if f.info["split"] == "held-out"}
    assert held == set(dataset.held_out)
    assert all(f.info["label"] == dataset.labels[f.info["structure_id"]] for f in frames)
    assert {f.info["settings_id"] for f in frames} == {"0123456789ab"}


def test_ids_of_digits_stay_text(inputs: ReportInputs, tmp_path: Path) -> None:
    [dataset] = inputs.datasets
    digits = dataset.model_copy(update={"settings_id": "012345678901"})
    export_dataset(digits, tmp_path / "d.xyz")
    frames = read_frames(tmp_path / "d.xyz")
    assert {f.info["settings_id"] for f in frames} == {"012345678901"}


def test_a_dataset_without_its_trajectories_is_refused(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    [dataset] = inputs.datasets
    unloaded = dataset.model_copy(update={"trajectories": {}})
    with pytest.raises(ValueError, match=r"no trajectory of 50 structures .* load=True"):
        export_dataset(unloaded, tmp_path / "d.xyz")
    assert not list(tmp_path.iterdir())
