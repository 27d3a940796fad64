"""A reference engine and a Maker from outside the package: workflows/extend.py at work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from scipy.optimize import minimize

from hea_flows import CampaignMaker, load_campaign, plugins, register_reference_engine
from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.config import LabelSpec
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.results.store import documents
from hea_flows.schemas import AlloySpec, DatasetDoc, LabelDoc
from hea_flows.services.connection import Connection
from hea_flows.testing import check_maker, check_reference_engine

ROOT = Path(__file__).parents[1]
EXTEND = ROOT / "workflows" / "extend.py"
ALLOY = AlloySpec(elements=("Cu", "Au"), prototype="fcc")
#: Rows are [-½ ½ 0], [0 0 1] and [½ ½ 0] of the cubic cell: Cu and Au in layers along [001].
L1_0 = Ordering(ALLOY.to_alloy(), ((1, -1, 0), (1, 1, -1), (0, 0, 1)), ("Cu", "Au"))
CAMPAIGN = """\
name: cu-au
alloy: {elements: [Cu, Au], prototype: fcc}
structures: [{set: 1(1)+2(2)}]
labels: {engine: emt, options: {fmax: 0.002}}
"""


def snippet() -> str:
    """Return all that an extension consists of: the file up to its demonstration."""
    return EXTEND.read_text().partition("\n\ndef main")[0].rstrip() + "\n"


@pytest.fixture
def extend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the example; what it registers is forgotten after the test."""
    monkeypatch.syspath_prepend(str(EXTEND.parent))
    monkeypatch.setattr(plugins.FAMILIES, "registered", {})
    monkeypatch.setattr(plugins.ENGINES, "registered", {})
    return import_module("extend")


def energy(atoms: Atoms) -> float:
    atoms.calc = EMT()
    return float(atoms.get_potential_energy())


@cache
def cubic(symbol: str) -> tuple[float, float]:
    """Return the least energy (eV) and the volume (Å³) per atom of an fcc metal, by ASE alone."""
    found = minimize(
        lambda x: energy(bulk(symbol, "fcc", a=float(x[0]))), [3.9], method="Nelder-Mead", tol=1e-7
    )
    return float(found.fun), float(found.x[0]) ** 3 / 4


@cache
def layered() -> tuple[float, float]:
    """Return energy and volume per atom of relaxed CuAu in the L1₀ structure, by ASE alone."""

    def cell(x: Any) -> Atoms:
        a, c = (float(v) for v in x)
        return Atoms(
            "CuAu", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[a, a, c], pbc=True
        )

    found = minimize(lambda x: energy(cell(x)), [2.7, 3.8], method="Nelder-Mead", tol=1e-7)
    return float(found.fun) / 2, float(found.x[0] ** 2 * found.x[1]) / 2


def by_formula(labels: list[LabelDoc]) -> dict[str, list[LabelDoc]]:
    found: dict[str, list[LabelDoc]] = {}
    for label in labels:
        found.setdefault(label.structure.formula, []).append(label)
    return found


def check_labels(labels: list[Any]) -> None:
    """Compare labels with ASE's EMT: exactly in their own geometry, and with its minima."""
    assert [d.state for d in labels] == ["converged"] * 4
    for label in labels:
        assert label.engine == "emt"
        assert label.trajectory.pbc == (True, True, True)
        ideal = label.structure.to_ordering(ALLOY.to_alloy()).to_atoms()
        frames = label.trajectory.to_frames()
        np.testing.assert_array_equal(frames[0].positions, ideal.positions)
        for frame in frames:
            fresh = Atoms(frame.symbols, frame.positions, cell=frame.cell, pbc=True)
            assert frame.calc.results["energy"] == pytest.approx(energy(fresh), abs=1e-10)
            np.testing.assert_allclose(frame.calc.results["forces"], fresh.get_forces(), atol=1e-10)
            np.testing.assert_allclose(frame.calc.results["stress"], fresh.get_stress(), atol=1e-10)
        assert label.n_frames == len(frames) > 2
        assert label.energy == frames[-1].calc.results["energy"]
    found = by_formula(labels)
    for symbol in ("Cu", "Au"):
        assert found[f"{symbol}1"][0].energy == pytest.approx(cubic(symbol)[0], abs=1e-6)
    [expected] = [d for d in found["Au1Cu1"] if d.structure.structure_id == L1_0.id]
    assert expected.energy == pytest.approx(2 * layered()[0], abs=1e-5)


def test_an_extension_is_under_40_lines_and_the_page_shows_it() -> None:
    lines = [line for line in snippet().splitlines() if line.strip()]
    assert 20 < len(lines) < 40
    code = snippet().partition("from __future__")[2].partition("\n")[2].strip()
    assert code in (ROOT / "docs" / "extending.md").read_text()


def test_labelling_campaign_with_a_registered_engine(extend: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "cu-au.yaml").write_text(CAMPAIGN)
    campaign, text = load_campaign(tmp_path / "cu-au.yaml")
    with pytest.raises(
        ValueError, match="unknown reference engine 'emt'; accepted: archive, atomate2, gpaw"
    ):
        CampaignMaker.from_campaign(campaign)
    register_reference_engine("emt", extend.EMTMaker)
    flow: Any = CampaignMaker.from_campaign(campaign).make(campaign, text)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, ensure_success=True, log=False, root_dir=tmp_path)
    check_labels(documents(store, "label", "cu-au", load=True))
    [dataset] = documents(store, "dataset", "cu-au")
    assert isinstance(dataset, DatasetDoc)
    assert dataset.n_structures == 4
    assert dataset.settings == {"code": "emt"}


def test_a_wrong_option_is_told(extend: ModuleType) -> None:
    register_reference_engine("emt", extend.EMTMaker)
    spec = LabelSpec(engine="emt", options={"cutoff": 400})
    with pytest.raises(ValueError, match="'emt' has no option cutoff; accepted: calculation, fmax"):
        LabellingMaker.from_spec(spec, seed=0)


def test_the_engine_keeps_what_engines_keep(extend: ModuleType) -> None:
    label = check_reference_engine(extend.EMTMaker(), L1_0)
    assert label.energy == pytest.approx(2 * layered()[0], abs=1e-4)


def test_the_vacuum_of_a_layer_is_not_relaxed(extend: ModuleType) -> None:
    """The start geometry of a job is periodic in all directions."""
    host = Alloy(("Cu", "Ni"), anion="O", lattice_constants={"Cu": 3.1, "Ni": 3.1})
    layer = Ordering(host, ((1, 0, 0), (0, 2, 0), (0, 0, 1)), ("Cu", "Ni"))
    label = check_reference_engine(extend.EMTMaker(fmax=0.2), layer)
    assert label.n_frames > 2


def test_the_other_maker(extend: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    check_maker(extend.VolumesMaker())
    extend.main("1(1)+2(2)")
    printed = capsys.readouterr().out
    rows = re.findall(r"(\w+) (\w+) converged: -?[\d.]+ eV, ([\d.]+) Å³/atom", printed)
    assert len(rows) == 4
    volumes = {key: float(volume) for _, key, volume in rows}
    assert volumes[L1_0.id] == pytest.approx(layered()[1], rel=2e-3)
    pure = {name: float(volume) for name, _, volume in rows}
    for symbol in ("Cu", "Au"):
        assert pure[f"{symbol}1"] == pytest.approx(cubic(symbol)[1], rel=2e-3)


@pytest.mark.slow
def test_workers_find_an_engine_by_its_entry_point(connection: Connection, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    info = plugin / "emt_engine-0.1.dist-info"
    info.mkdir(parents=True)
    (plugin / "emt_engine.py").write_text(snippet())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: emt-engine\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[hea_flows.engines]\nemt = emt_engine:EMTMaker\n")
    (tmp_path / "cu-au.yaml").write_text(CAMPAIGN)
    environment = os.environ | connection.environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(plugin), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "hea_flows", "run", "cu-au.yaml", "--workers", "1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with connection.job_store() as store:
        labels = documents(store, "label", "cu-au", load=True)
    check_labels(labels)
    assert (tmp_path / "cu-au-report.html").is_file()
