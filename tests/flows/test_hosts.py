"""Bulk hosts, and one of one's own, from a campaign file to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows.config import load_campaign
from hea_flows.flows import CampaignMaker
from hea_flows.results.store import documents
from hea_flows.schemas import BenchmarkDoc, MonteCarloDoc, ReportDoc, ThermodynamicsDoc

CONFIGS = Path(__file__).parents[2] / "configs"
OWN = {
    "name": "own",
    "alloy": {"elements": ["Ti", "Zr"], "prototype": {"file": "ti.cif", "alloyed": ["Ti"]}},
    "structures": [{"set": "1(2)+2(2)"}, {"set": "2(4)", "use": "held-out"}],
    "labels": {"engine": "synthetic", "options": {"model": "chgnet:0.2.0"}},
    "model": "chgnet:0.3.0",
    "training": {"batch_size": 4},
    "monte_carlo": {"supercell": "2x2x1"},
    "thermodynamics": {"sqs": {2: "2x1x1"}, "random_supercell": "2x1x1"},
}


def toy(campaign: dict[str, Any]) -> dict[str, Any]:
    """Return the same campaign with single points, one epoch and few steps."""
    changed = {key: dict(value) for key, value in campaign.items() if isinstance(value, dict)}
    changed["labels"]["options"]["calculation"] = "static"
    changed["training"]["epochs"] = 1
    changed["benchmark"] = {"relaxed": False}
    few = {"temperatures": [900], "runs": 1, "steps": 8, "burn_in": 2, "random": 4}
    changed["monte_carlo"] = {"supercell": campaign["monte_carlo"]["supercell"], **few}
    changed["thermodynamics"] |= {"sqs_steps": 20, "n_random": 2, "mode": "fixed lattice"}
    return campaign | changed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bcc-mo-nb-ta-w", "carbide", "own"])
def test_shipped_bulk_campaigns_and_a_host_of_ones_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("chgnet")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "files" / f"{name}.yaml"
    path.parent.mkdir()
    bulk("Ti", "hcp", a=2.95, c=4.68).write(path.parent / "ti.cif")
    campaign = OWN if name == "own" else yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    path.write_text(yaml.safe_dump(toy(campaign)))
    loaded, text = load_campaign(path)
    (path.parent / "ti.cif").unlink()  # no job may need it
    flow = CampaignMaker.from_campaign(loaded).make(loaded, text)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, ensure_success=True, log=False)
    [chains] = documents(store, MonteCarloDoc, load=True)
    assert chains.alloy == loaded.alloy
    assert chains.n_sites == loaded.alloy.to_alloy().n_sites(chains.supercell)
    [thermodynamics] = documents(store, ThermodynamicsDoc)
    assert len(thermodynamics.sqs_mixing_mev) == {2: 1, 4: 11}[len(loaded.alloy.elements)]
    assert len(documents(store, BenchmarkDoc)) == 2
    [report] = documents(store, ReportDoc)
    assert not report.missing
