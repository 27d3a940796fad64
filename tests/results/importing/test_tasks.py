"""Documents of atomate2 in a job store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vasp_runs
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from monty.serialization import dumpfn
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets import parse
from hea_flows.reference import load_dataset
from hea_flows.results.importing import (
    ImportSettings,
    Refused,
    import_dataset,
    read_sources,
    read_store,
)


def store_file(folder: Path, outputs: list[tuple[str, Any]]) -> Path:
    """Write a job store whose documents lie in a JSON file, and the file that describes it."""
    documents = [
        {"uuid": f"{i:08d}-x", "index": 1, "name": name, "output": output}
        for i, (name, output) in enumerate(outputs)
    ]
    dumpfn(documents, folder / "documents.json")
    spec = {"docs_store": {"type": "JSONStore", "paths": str(folder / "documents.json")}}
    dumpfn({"JOB_STORE": spec}, folder / "jobflow.yaml")
    return folder / "jobflow.yaml"


def test_relaxations_of_a_force_field(tmp_path: Path) -> None:
    makers = pytest.importorskip("atomate2.ase.jobs")
    alloy = Alloy(("Cu", "Au"), "fcc", None)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    outputs = []
    orderings = parse("1(1)+2(2)").build(alloy, 0)
    for ordering in orderings:
        job = makers.EmtRelaxMaker().make(AseAtomsAdaptor.get_structure(ordering.to_atoms()))
        run_locally(job, store=store, log=False, root_dir=tmp_path)
        stored = store.query_one({"uuid": job.uuid}, load=True)
        assert stored is not None
        outputs.append(("emt", stored["output"]))
    file = store_file(tmp_path, [*outputs, ("other", {"energy": 1.0})])
    runs = list(read_store(file, {}))
    assert runs[-1] == Refused("other 00000004", runs[-1].reason)
    imported = import_dataset(tmp_path / "emt.json", runs, ImportSettings(prototype="fcc"))
    assert {d.structure.structure_id for d in imported.labels} == {o.id for o in orderings}
    assert {d.state for d in imported.labels} == {"converged"}
    assert imported.missing == []
    assert imported.card.settings["name"] == "emt"
    energies = sorted(float(d.energy) for d in imported.labels)
    assert energies == pytest.approx(sorted(x["output"]["energy"] for _, x in outputs))
    from ase.calculators.emt import EMT

    _, trajectories = load_dataset(tmp_path / "emt.json")
    for frames in trajectories.values():
        again = frames[0].copy()
        again.calc = EMT()
        own = frames[0].calc.results
        assert again.get_forces() == pytest.approx(own["forces"], abs=1e-9)
        assert again.get_stress() == pytest.approx(own["stress"], abs=1e-9)
    few = list(read_store(file, {"name": "other"}))
    assert len(few) == 1
    with pytest.raises(ValueError, match="finds no document"):
        list(read_store(file, {"name": "none"}))


def test_a_task_of_vasp_is_what_its_vasprun_is(tmp_path: Path) -> None:
    tasks = pytest.importorskip("emmet.core.tasks")
    home = tmp_path / "home"
    home.mkdir()
    with vasp_runs.standin(home):
        for i, ordering in enumerate(parse("1(1)+2(2)").build(Alloy(("Mo", "W")), 0)):
            vasp_runs.run(tmp_path / "runs" / str(i), ordering, home)
        outputs = [
            (
                "relax",
                tasks.TaskDoc.from_directory(tmp_path / "runs" / str(i)).model_dump(mode="json"),
            )
            for i in range(3)
        ]
    one = import_dataset(tmp_path / "one.json", read_sources([tmp_path / "runs"]), ImportSettings())
    two = import_dataset(
        tmp_path / "two.json", read_store(store_file(tmp_path, outputs), {}), ImportSettings()
    )
    assert two.card.settings == one.card.settings
    assert two.remarks == two.trains == two.refused == []
    _, own = load_dataset(tmp_path / "one.json")
    _, theirs = load_dataset(tmp_path / "two.json")
    assert own.keys() == theirs.keys()
    for key, frames in own.items():
        for a, b in zip(frames, theirs[key], strict=True):
            assert np.allclose(a.positions, b.positions, atol=1e-9)
            for name in ("energy", "free_energy", "forces", "stress"):
                assert np.allclose(a.calc.results[name], b.calc.results[name], atol=1e-9)
