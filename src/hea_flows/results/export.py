"""A dataset as a file that other programs read."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms

from hea_flows.alloy.frames import write_frames
from hea_flows.schemas import DatasetDoc, FrameRef


def dataset_frames(dataset: DatasetDoc) -> list[Atoms]:
    """Return the labelled frames of a dataset in its own order, then the held-out structures'.

    Each carries in `info`: structure_id, settings_id, step, label (uuid of its document), split
    (train, test, validation or held-out), formula and converged (of the whole relaxation).

    Raises
    ------
    ValueError
        If the document was read without its trajectories.
    """
    needed = {*dataset.labels, *(f.structure_id for f in dataset.frames)}
    if missing := sorted(needed - set(dataset.trajectories)):
        msg = (
            f"the dataset holds no trajectory of {len(missing)} structures ({missing[0]}, ...); "
            "read it with load=True"
        )
        raise ValueError(msg)
    trajectories = {key: dataset.trajectories[key].to_frames() for key in sorted(needed)}
    used = {f.structure_id for f in dataset.frames}
    refs = [
        *dataset.frames,
        *(
            FrameRef(label=dataset.labels[key], structure_id=key, step=step)
            for key in trajectories
            if key not in used
            for step in range(len(trajectories[key]))
        ),
    ]
    splits = dict.fromkeys(range(len(refs)), "held-out")
    for name, indices in (
        ("train", dataset.train),
        ("test", dataset.test),
        ("validation", dataset.validation),
    ):
        splits |= dict.fromkeys(indices, name)
    frames = []
    for i, ref in enumerate(refs):
        frame = trajectories[ref.structure_id][ref.step]
        frame.info = {
            "structure_id": ref.structure_id,
            "settings_id": dataset.settings_id,
            "step": ref.step,
            "label": ref.label,
            "split": splits[i],
            "formula": dataset.structures[ref.structure_id].formula,
            "converged": dataset.converged[ref.structure_id],
        }
        frames.append(frame)
    return frames


def export_dataset(dataset: DatasetDoc, path: Path) -> int:
    """Write a dataset as extended XYZ and return the number of frames.

    Numbers keep all digits: the file read again by `hea_flows.alloy.frames.read_frames` (or
    `ase.io.read`) gives identical arrays. Results stand under ASE's own names ``energy``,
    ``free_energy``, ``forces``, ``stress``, ``magmoms``, so that every reader of ASE finds them;
    MACE takes them with ``--energy_key=energy --forces_key=forces --stress_key=stress`` and
    renames them to its ``REF_`` keys itself. Energies are the reference's own, offsets not removed.

    Parameters
    ----------
    dataset
        With its trajectories loaded.
    path
        File to write; a suffix ``.gz`` or ``.xz`` compresses.

    Raises
    ------
    ValueError
        If the document was read without its trajectories.
    """
    frames = dataset_frames(dataset)
    write_frames(path, frames)
    return len(frames)
