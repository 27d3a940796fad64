"""How big the documents of a campaign of large cells are: none nears MongoDB's 16 MB."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import bson
import pytest

from hea_flows import plugins
from hea_flows.alloy.lattice import frames_checksum
from hea_flows.config import load_campaign
from hea_flows.flows import launch
from hea_flows.results.store import documents
from hea_flows.schemas import DatasetDoc, LabelDoc, Trajectory
from hea_flows.services.connection import BLOBS, Connection
from hea_flows.services.workers import worker_loop

pytestmark = pytest.mark.slow

COLLECTIONS = ("outputs", "fireworks", "launches", "workflows")
#: End points that every dataset needs.
UNARIES = 2
Sizes = dict[tuple[str, str], int]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Register the engine of made-up frames, a module that jobs import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "importable"))
    monkeypatch.setattr(plugins.FAMILIES, "registered", {})
    monkeypatch.setattr(plugins.ENGINES, "registered", {})
    plugins.register_reference_engine("made-up", "frames_engine:FramesMaker")
    import frames_engine

    return frames_engine


def run(connection: Connection, folder: Path, n_structures: int, n_frames: int) -> Sizes:
    """Run a campaign of 6×6 cells; return the largest document of each collection and name.

    Documents other than outputs are removed, so that the next campaign's are its own.
    """
    name = f"sizes-{n_structures:03}-{n_frames:03}"
    path = folder / f"{name}.yaml"
    path.write_text(
        f"name: {name}\n"
        "seed: 1\n"
        "alloy: {elements: [Mo, W]}\n"
        "structures:\n"
        "  - {set: 1(1)}\n"
        f"  - {{set: 'random(6x6, n={n_structures}, components=2)'}}\n"
        f"labels: {{engine: made-up, options: {{n_frames: {n_frames}}}}}\n"
    )
    campaign, text = load_campaign(path)
    launch.submit(campaign, text, connection, again=True)  # no label of the campaign before
    worker_loop(connection, poll=0.1)
    test_set = connection.database()
    assert set(test_set.fireworks.distinct("state")) == {"COMPLETED"}
    own = {"outputs": {"metadata.campaign": name}}
    sizes: Sizes = {}
    for collection in COLLECTIONS:
        for document in test_set[collection].find(own.get(collection, {})):
            key = (collection, _kind(collection, document))
            sizes[key] = max(sizes.get(key, 0), len(bson.encode(document)))
        if collection != "outputs":
            test_set[collection].delete_many({})
    assert {kind for c, kind in sizes if c == "outputs"} >= {"label", "dataset", "report"}
    return sizes


def _kind(collection: str, document: dict[str, Any]) -> str:
    """Return which documents are counted together."""
    if collection == "outputs" and isinstance(document["output"], dict):
        return str(document["output"].get("kind", document["name"].split(" ")[0]))
    return str(document["name"].split(" ")[0]) if collection in ("outputs", "fireworks") else "any"


def trajectories(connection: Connection, n_structures: int, n_frames: int) -> list[LabelDoc]:
    """Return the labels of the campaign, loaded."""
    with connection.job_store() as store:
        name = f"sizes-{n_structures:03}-{n_frames:03}"
        found = documents(store, "label", name, load=True)
        [dataset] = documents(store, "dataset", name, load=True)
    assert isinstance(dataset, DatasetDoc)
    labels = [d for d in found if isinstance(d, LabelDoc)]
    assert len(labels) == n_structures + UNARIES
    assert len(dataset.frames) == len(labels) * n_frames
    for label in labels:
        assert dataset.trajectories[label.structure.structure_id] == label.trajectory
    return labels


def test_a_long_relaxation_of_a_large_cell_stays_small_and_whole(
    connection: Connection, engine: ModuleType, tmp_path: Path
) -> None:
    """100 ionic steps of 108 atoms with moments: all frames are kept, and every digit."""
    sizes = run(connection, tmp_path, 1, 100)
    [label] = [d for d in trajectories(connection, 1, 100) if len(d.structure.species) == 36]
    ideal = label.structure.to_ordering(engine.HOST).to_atoms()
    made = engine.made_up(ideal, 100, engine.seed_of(label.structure.structure_id))
    assert len(made[0]) == 108
    assert label.trajectory == Trajectory.from_frames(made)
    assert label.trajectory_sha256 == frames_checksum(made)
    assert label.trajectory.magmoms is not None
    assert label.task is not None
    assert len(label.task.read()) == engine.TASK
    # The numbers alone are 100 · 108 · (3 + 3 + 1) · 8 bytes.
    stored = sum(d["length"] for d in connection.database()[f"{BLOBS}.files"].find())
    assert stored > 100 * 108 * 7 * 8
    assert sizes["outputs", "label"] < 8_000
    assert max(sizes.values()) < 40_000, sizes


def test_sizes_of_a_campaign_of_30_large_cells(
    connection: Connection, engine: ModuleType, tmp_path: Path
) -> None:
    """Nothing nears 16 MB, nor would with 1000 structures; frames hardly count."""
    few, long, many = (
        run(connection, tmp_path, structures, frames)
        for structures, frames in ((10, 5), (10, 40), (30, 40))
    )
    trajectories(connection, 30, 40)
    assert few.keys() == long.keys() == many.keys()
    assert max(many.values()) < 0.2e6, many
    for key in many:
        per_structure = (many[key] - long[key]) / 20
        assert 1000 * per_structure < 4e6, (key, per_structure)
        # Only the splits of the dataset name frames, by an index each.
        per_frame = (long[key] - few[key]) / (35 * (10 + UNARIES))
        assert per_frame < (16 if key == ("outputs", "dataset") else 1), (key, per_frame)
