"""Labelled frames that leave the database and come back, or go to MACE."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from stored_campaign import toy_trajectory

from hea_flows.alloy.lattice import frames_checksum
from hea_flows.alloy.sets.named import parse
from hea_flows.config import DatasetSpec, load_campaign
from hea_flows.flows.campaign import CampaignMaker
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.provenance import settings_id
from hea_flows.reference import Outcome, label_document
from hea_flows.reference.archive import (
    ArchiveMaker,
    DatasetCard,
    DatasetTerms,
    find_card,
    load_dataset,
)
from hea_flows.results.export.archive import card_of, write_archive
from hea_flows.results.export.dataset import dataset_frames, export_dataset
from hea_flows.results.store import CampaignDocuments
from hea_flows.runtime.extxyz import read_frames, write_frames
from hea_flows.schemas import (
    AlloySpec,
    DatasetDoc,
    LabelDoc,
    StructureEntry,
    StructuresDoc,
    Trajectory,
)
from hea_flows.services.connection import Connection

SPEC = AlloySpec(elements=("Mo", "W", "V"))
RULE = {"code": "toy", "cutoff": 400.0}
Campaign = tuple[DatasetDoc, list[LabelDoc], list[StructuresDoc]]


def trajectory(entry: StructureEntry, n_frames: int, seed: int) -> Trajectory:
    """Return frames full of numbers that need all their digits, and some that need care."""
    frames = toy_trajectory(entry.to_ordering(SPEC.to_alloy()), n_frames, seed)
    frames.energies[0] = -8.0 * len(frames.symbols)
    frames.forces[0][0] = [1e-05, -0.0, 5e-324]
    frames.stresses[0] = [0.0, 1.0, -1e-17, 7.25, 0.1, 1 / 3]
    if seed % 3:
        frames.seconds = np.random.default_rng(seed).exponential(size=n_frames).tolist()
    return frames


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    """Make 18 relaxations to train on and 3 single points held out, as the jobs make them."""
    labels: dict[str, list[LabelDoc]] = {}
    sets = []
    for calculation, expression in (("relax", "1(1)+2(2)+2(3)"), ("static", "3(3)")):
        built = parse(expression).build(SPEC.to_alloy(), 0)
        entries = [StructureEntry.from_ordering(o) for o in built]
        sets.append(
            StructuresDoc(
                alloy=SPEC,
                expression=expression,
                seed=0,
                n_structures=len(entries),
                structures=entries,
            )
        )
        labels[calculation] = []
        for i, entry in enumerate(entries):
            made = trajectory(entry, 1 if calculation == "static" else 2 + i % 4, i)
            frames = made.to_frames()
            for frame, seconds in zip(frames, made.seconds or [], strict=False):
                frame.info["seconds"] = seconds
            label = label_document(
                partial(Outcome, frames, converged=i != 4),
                structure=entry,
                alloy=SPEC,
                engine="toy",
                rule=RULE,
                calculation=calculation,
            )
            assert label.trajectory == made
            label = label.model_copy(update={"uuid": f"{calculation}-{i}", "campaign": "toy"})
            labels[calculation].append(label)
    dataset = DatasetMaker.make.original(
        DatasetMaker(dataset=DatasetSpec(), seed=1), SPEC, [labels["relax"]]
    )
    return dataset, labels["relax"] + labels["static"], sets


@pytest.fixture(params=["dataset.extxyz", "dataset.xyz.gz", "all.extxyz.xz"])
def exported(request: pytest.FixtureRequest, tmp_path: Path, campaign: Campaign) -> Path:
    """Write the dataset, or all labels, and return the frames file."""
    dataset, labels, structures = campaign
    path: Path = tmp_path / request.param
    if path.name.startswith("all"):
        write_archive(
            card_of(path), title="all", labels=labels, structures=structures, regenerate="-"
        )
    else:
        export_dataset(dataset, path, labels=labels, structures=structures)
    return path


def relabelled(card: Path, label: LabelDoc) -> LabelDoc:
    maker = ArchiveMaker(calculation=label.calculation, dataset=str(card))
    job = maker.make(label.structure, SPEC)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    output = run_locally(job, store=store, ensure_success=True, log=False)[job.uuid][1].output
    return LabelDoc.model_validate(output)


# ---------------------------------------------------------------- there and back


def test_the_archive_engine_gives_back_the_same_labels(exported: Path, campaign: Campaign) -> None:
    _, labels, _ = campaign
    card = card_of(exported)
    assert len(labels) == 21
    for label in labels:
        again = relabelled(card, label)
        assert again.engine == f"archive:{card.stem}"
        assert again.trajectory_sha256 == label.trajectory_sha256
        assert again.trajectory == label.trajectory  # every number and its wall time, bit for bit
        same = {"structure", "settings", "settings_id", "calculation", "state", "reason"}
        same |= {"n_frames", "energy", "max_force", "magnetization", "flags"}
        assert again.model_dump(include=same) == label.model_dump(include=same)


def test_a_dataset_of_exported_labels_is_the_same_dataset(
    exported: Path, campaign: Campaign
) -> None:
    dataset, labels, _ = campaign
    card = card_of(exported)
    relaxed, static = (
        [relabelled(card, label) for label in labels if label.calculation == kind]
        for kind in ("relax", "static")
    )
    again = DatasetMaker.make.original(DatasetMaker(dataset=DatasetSpec(), seed=1), SPEC, [relaxed])
    assert len(static) == 3
    same = {"checksum", "settings_id", "train", "test", "validation", "end_points", "trajectories"}
    assert again.model_dump(include=same) == dataset.model_dump(include=same)


def test_exporting_what_was_imported_gives_the_same_file(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / f"copy-{exported.name}"
    write_frames(copy, read_frames(exported), keys="mace")
    assert _text(copy) == _text(exported)


def _text(path: Path) -> str:
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opener(path, "rt", encoding="utf-8") as handle:
        return str(handle.read())


def test_the_card_describes_the_file(exported: Path, campaign: Campaign) -> None:
    dataset, labels, _ = campaign
    card, trajectories = load_dataset(card_of(exported))
    assert (card.name, card.file) == (exported.name.partition(".")[0], exported.name)
    assert card.title == ("all" if card.name == "all" else exported.name)
    assert (card.settings, card.settings_id) == (RULE, settings_id(RULE))
    assert card.n_structures == len(labels) == len(trajectories)
    assert card.n_frames == sum(d.n_frames for d in labels) == len(dataset.frames) + 3
    n = card.n_frames
    expected = {"structures": 18, "labelled": 18, "converged": 17, "frames": n - 3}
    assert card.content["1(1)+2(2)+2(3)"] == expected
    expected = {"structures": 3, "labelled": 3, "converged": 3, "frames": 3}
    assert card.content["3(3)"] == expected


def test_suffixes_compress(tmp_path: Path, campaign: Campaign) -> None:
    dataset, labels, structures = campaign
    texts = []
    for name in ("d.xyz", "d.xyz.gz", "d.extxyz.xz"):
        export_dataset(dataset, tmp_path / name, labels=labels, structures=structures)
        texts.append(_text(tmp_path / name))
    assert texts[0] == texts[1] == texts[2]


def terms_of(card: DatasetCard) -> DatasetTerms:
    return DatasetTerms(licence=card.licence, citation=card.citation, authors=card.authors)


def test_the_card_says_of_terms_what_is_given(campaign: Campaign, tmp_path: Path) -> None:
    """The data are their owner's: no licence, citation or author is made up."""
    dataset, labels, structures = campaign
    write: dict[str, Any] = {
        "d.xyz": partial(export_dataset, dataset),
        "e.json": partial(write_archive, title="", regenerate=""),
    }
    full = DatasetTerms(licence="CC0-1.0", citation="doi 10.0/x", authors=["A. B.", "C. D."])
    for terms in (None, DatasetTerms(), DatasetTerms(citation="a reference"), full):
        for name, export in write.items():
            path = tmp_path / name
            card = export(path, labels=labels, structures=structures, terms=terms)
            text = path.with_suffix(".json").read_text()
            given = terms.model_dump(exclude_defaults=True) if terms else {}
            read = json.loads(text)
            assert {k: read[k] for k in DatasetTerms.model_fields if k in read} == given
            assert DatasetCard.model_validate_json(text) == card
            assert terms_of(card) == (terms or DatasetTerms())
            assert ("CC" in text) == (terms is full)


def test_the_shipped_dataset_has_its_licence() -> None:
    card, _ = load_dataset(find_card("pbe-mo-ta-nb-w-v-s2"))
    assert card.licence == "CC-BY-4.0"
    command = "hea-flows export dataset --campaign pbe-mo-ta-nb-w-v-s2 --licence CC-BY-4.0 pbe-mo"
    root = Path(__file__).parents[3]
    for page in ("configs/pbe-dataset.yaml", "docs/gpaw.md"):
        assert command in (root / page).read_text()


SHIPPED = """\
name: shipped
seed: 1
alloy: {elements: [Mo, Ta, Nb, W, V]}
structures:
  - {set: "1(1)"}
  - {set: "2(2)[Nb,V]", use: held-out}
labels: {engine: archive}
"""


def test_the_command_exports_what_came_from_the_shipped_file(
    connection: Connection, tmp_path: Path
) -> None:
    """From ASE's names through a real database to MACE's, by the command: the same numbers."""
    (tmp_path / "shipped.yaml").write_text(SHIPPED)
    campaign, text = load_campaign(tmp_path / "shipped.yaml")
    flow: Any = CampaignMaker.from_campaign(campaign).make(campaign, text)
    store = connection.job_store()
    run_locally(flow, store=store, ensure_success=True, log=False, root_dir=tmp_path)
    _, shipped = load_dataset(find_card("pbe-mo-ta-nb-w-v-s2"))
    environment = {**os.environ, **connection.environment(), "COLUMNS": "300"}
    terms = DatasetTerms(licence="ODbL-1.0", citation="doi 10.0/x", authors=["A. B.", "C. D."])
    given = ["--licence", "ODbL-1.0", "--citation", "doi 10.0/x"]
    given += ["--author", "A. B.", "--author", "C. D."]
    for name, files, more, said in (
        ("a.extxyz", ["a.extxyz", "a.json"], given, terms),
        ("b.extxyz.gz", ["b.extxyz.gz", "b.json"], [], DatasetTerms()),
        ("c.json", ["c.extxyz.xz", "c.json"], given[:2], DatasetTerms(licence="ODbL-1.0")),
    ):
        command = [sys.executable, "-m", "hea_flows", "export", "dataset", name]
        command += ["--campaign", "shipped", "--title", "Six structures", "--note", "a note"]
        done = subprocess.run(
            [*command, *more],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        card, trajectories = load_dataset(tmp_path / files[1])
        expected = f"{card.n_structures} structures, {card.n_frames} frames: {', '.join(files)}"
        assert done.stdout.strip() == expected
        assert (card.title, card.notes, card.n_structures) == ("Six structures", ["a note"], 6)
        assert terms_of(card) == said
        assert len(trajectories) == 6
        for key, frames in trajectories.items():
            assert frames_checksum(frames) == frames_checksum(shipped[key])
            assert Trajectory.from_frames(frames) == Trajectory.from_frames(shipped[key])
            assert frames[0].info["converged"] == shipped[key][0].info["converged"]


# ---------------------------------------------------------------- what frames say


def test_the_file_holds_every_digit(inputs: CampaignDocuments, tmp_path: Path) -> None:
    [dataset] = inputs.datasets
    path = tmp_path / "d.extxyz"
    card = export_dataset(dataset, path, labels=inputs.labels, structures=inputs.structures)
    assert card.n_frames == 150
    seen = set()
    known = {d.structure.structure_id: d.trajectory for d in inputs.labels if d.trajectory}
    for frame in read_frames(path):
        trajectory = known[frame.info["structure_id"]]
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


def test_frames_tell_their_split_and_origin(inputs: CampaignDocuments) -> None:
    [dataset] = inputs.datasets
    frames = dataset_frames(dataset, inputs.labels)
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
    assert held == set(inputs.test_sets[0].members)
    known = {d.structure.structure_id: d.uuid for d in inputs.labels}
    assert all(f.info["label"] == known[f.info["structure_id"]] for f in frames)
    assert {f.info["settings_id"] for f in frames} == {"0123456789ab"}
    assert {f.info["calculation"] for f in frames} == {"relax"}


def test_ids_of_digits_stay_text(inputs: CampaignDocuments, tmp_path: Path) -> None:
    [dataset] = inputs.datasets
    labels = [d.model_copy(update={"settings_id": "012345678901"}) for d in inputs.labels]
    export_dataset(dataset, tmp_path / "d.xyz", labels=labels, structures=inputs.structures)
    frames = read_frames(tmp_path / "d.xyz")
    assert {f.info["settings_id"] for f in frames} == {"012345678901"}


# ---------------------------------------------------------------- what is refused


def test_a_dataset_without_its_parts_is_refused(inputs: CampaignDocuments, tmp_path: Path) -> None:
    [dataset] = inputs.datasets
    path = tmp_path / "d.xyz"
    unloaded = [x.model_copy(update={"trajectory": None}) for x in inputs.labels]
    with pytest.raises(ValueError, match=r"no label document of 35 structures .* load=True"):
        export_dataset(dataset, path, labels=unloaded, structures=inputs.structures)
    with pytest.raises(ValueError, match="no label document of 34 structures of the dataset"):
        export_dataset(dataset, path, labels=inputs.labels[:1], structures=inputs.structures)
    mixed = [inputs.labels[0].model_copy(update={"settings_id": "other"}), *inputs.labels[1:]]
    with pytest.raises(ValueError, match=r"one settings id, found \['0123456789ab', 'other'\]"):
        export_dataset(dataset, path, labels=mixed, structures=inputs.structures)
    assert not list(tmp_path.iterdir())


def test_names_that_are_refused(inputs: CampaignDocuments, tmp_path: Path) -> None:
    [dataset] = inputs.datasets
    export = partial(export_dataset, dataset, labels=inputs.labels, structures=inputs.structures)
    with pytest.raises(ValueError, match=r"d.cif: frames are written as .extxyz or .xyz, with"):
        export(tmp_path / "d.cif")
    (tmp_path / "package.json").write_text('{"name": "something else"}')
    with pytest.raises(ValueError, match=r"package.json exists and is no card of a dataset"):
        export(tmp_path / "package.extxyz.xz")
    assert [p.name for p in tmp_path.iterdir()] == ["package.json"]
    assert json.loads((tmp_path / "package.json").read_text()) == {"name": "something else"}


# ---------------------------------------------------------------- MACE


def expected_in_order(path: Path, campaign: Campaign) -> list[tuple[Atoms, Trajectory, int]]:
    by_key = {(d.structure.structure_id, d.calculation): d.trajectory for d in campaign[1]}
    found = []
    for frame in read_frames(path):
        trajectory = by_key[frame.info["structure_id"], frame.info["calculation"]]
        assert trajectory is not None
        found.append((frame, trajectory, int(frame.info["step"])))
    return found


def test_mace_reads_the_same_numbers_with_its_defaults(exported: Path, campaign: Campaign) -> None:
    pytest.importorskip("mace")
    import torch
    from mace.data import AtomicData, KeySpecification, load_from_xyz
    from mace.tools import AtomicNumberTable

    _, configurations = load_from_xyz(str(exported), KeySpecification.from_defaults())
    expected = expected_in_order(exported, campaign)
    assert len(configurations) == len(expected) > 40
    table = AtomicNumberTable([16, 23, 42, 74])
    for config, (_, trajectory, step) in zip(configurations, expected, strict=True):
        voigt = trajectory.stresses[step]
        assert config.properties["energy"] == trajectory.energies[step]
        assert np.array_equal(config.properties["forces"], trajectory.forces[step])
        stress = config.properties["stress"]
        assert stress.shape == (9,)
        assert np.array_equal(full_3x3_to_voigt_6_stress(stress.reshape(3, 3)), voigt)
        assert np.array_equal(config.positions, trajectory.positions[step])
        weights = [config.property_weights[k] for k in ("energy", "forces", "stress")]
        assert weights == [1.0, 1.0, 1.0]
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            data = AtomicData.from_config(config, z_table=table, cutoff=6.0)
        finally:
            torch.set_default_dtype(default)
        assert data.energy.item() == trajectory.energies[step]
        assert np.array_equal(data.forces, trajectory.forces[step])
        assert np.array_equal(full_3x3_to_voigt_6_stress(data.stress[0].numpy()), voigt)
        # MACE's stress is per volume of this cell: it must be the one of the labels.
        assert np.array_equal(data.cell, trajectory.cells[step])


def test_mace_would_replace_the_cell_of_a_layer_that_is_not_periodic(
    tmp_path: Path, campaign: Campaign
) -> None:
    """The reason why exports are periodic in all directions; if it falls, so may `REF_pbc`."""
    pytest.importorskip("mace")
    from mace.data import AtomicData, KeySpecification, load_from_xyz
    from mace.tools import AtomicNumberTable

    dataset, labels, _ = campaign
    frame = dataset_frames(dataset, labels)[0]
    frame.arrays["REF_forces"] = frame.calc.results["forces"]
    frame.write(
        tmp_path / "layer.xyz", format="extxyz", columns=["symbols", "positions", "REF_forces"]
    )
    _, [config] = load_from_xyz(str(tmp_path / "layer.xyz"), KeySpecification.from_defaults())
    table = AtomicNumberTable([16, 23, 42, 74])
    data = AtomicData.from_config(config, z_table=table, cutoff=6.0)
    assert float(abs(np.linalg.det(data.cell))) > 10 * frame.cell.volume


@pytest.mark.slow
def test_mace_trains_on_the_file_with_its_defaults(tmp_path: Path, campaign: Campaign) -> None:
    pytest.importorskip("mace")
    program = Path(sys.executable).with_name("mace_run_train")
    dataset, labels, structures = campaign
    path = tmp_path / "train.extxyz.xz"
    export_dataset(dataset, path, labels=labels, structures=structures)
    model = "--name t --E0s average --r_max 4 --num_channels 4 --max_L 0 --hidden_irreps 4x0e"
    run = "--max_num_epochs 1 --batch_size 8 --device cpu --compute_stress True --loss stress"
    done = subprocess.run(
        [str(program), "--train_file", str(path), *model.split(), *run.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    n = len(dataset.frames) + 3
    seen = re.search(
        r"Total Training set \[energy: (\d+), stress: (\d+),.* forces: (\d+)", done.stdout
    )
    assert seen is not None, done.stdout
    assert seen.groups() == (str(n),) * 3
    assert "Epoch 0: head: Default, loss=" in done.stdout
