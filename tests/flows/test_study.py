"""A study of several models and test sets, through FireWorks workers in their own processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import cli

from hea_flows.alloy.sets.named import parse
from hea_flows.jobs.learning.train import local_model
from hea_flows.potentials.base import family
from hea_flows.results.store import documents
from hea_flows.schemas import BenchmarkDoc, LabelDoc, ModelDoc
from hea_flows.services.connection import Connection

pytestmark = pytest.mark.slow
pytest.importorskip("chgnet")
pytest.importorskip("mace")

EXAMPLE = Path(__file__).parents[2] / "configs" / "studies" / "example.yaml"
NAMES = ("Held out", "Binaries", "Ordered")
DRAWN = ("2a", "2b", "2c", "2d", "4a", "4c", "5a", "5b", "5c")
TEACHER = """\
name: {name}
alloy: {{elements: [Mo, Ta]}}
labels: {{engine: synthetic, options: {{model: "chgnet:0.3.0", calculation: static}}}}
test_sets: {{Binaries: "{set}"}}
"""


def test_the_example_study(connection: Connection, tmp_path: Path) -> None:
    cli(connection, "run", "studies/example", "--report", str(tmp_path / "report.html"))
    with connection.job_store() as store:
        found: dict[str, list[Any]] = {
            kind: documents(store, kind, "example", load=True)
            for kind in (
                *("label", "structures", "dataset", "test_set"),
                *("training", "committee_model", "benchmark"),
            )
        }
    _check_labels(connection, found)
    _check_models(found)
    _check_tables(found)

    # Every panel of these figures can be drawn from it.
    cli(
        connection,
        *f"figures --campaign example --which {','.join(DRAWN)} -o".split(),
        str(tmp_path),
    )
    for panel in DRAWN:
        assert (tmp_path / f"figure-{panel}.svg").read_text().rstrip().endswith("</svg>")


def _check_labels(connection: Connection, found: dict[str, list[Any]]) -> None:
    """Structures of several sets have one label; what has none is named in every test set."""
    jobs = connection.launchpad().fireworks
    assert jobs.count_documents({"name": {"$regex": "^archive "}}) == len(found["label"]) == 33
    keys = [(d.structure.structure_id, d.calculation) for d in found["label"]]
    assert len(set(keys)) == 33
    assert {e.structure_id for d in found["structures"] for e in d.structures} == {
        k for k, _ in keys
    }
    assert {d.state for d in found["label"]} <= {"converged", "unconverged"}
    for test_set in found["test_set"]:
        asked = {
            o.id
            for text in test_set.expressions
            for o in parse(text).build(test_set.alloy.to_alloy(), 23)
        }
        assert (set(test_set.excluded), set(test_set.members)) == (set(), asked)


def _check_models(found: dict[str, list[Any]]) -> None:
    """Models that share their set share its dataset; every seed is a model of its own."""
    assert len(found["dataset"]) == 2
    assert sorted(d.n_structures for d in found["dataset"]) == [5 + 3, 5 + 10]
    made_of = {d.checksum: d.n_structures for d in found["dataset"]}
    named = [(d.name, d.settings.seed, made_of[d.dataset_checksum]) for d in found["training"]]
    assert sorted(named) == [
        ("Binaries", 1, 15),
        ("Binaries", 2, 15),
        ("From scratch", 1, 15),
        ("Three metals", 1, 8),
    ]
    assert len({d.model.sha256 for d in found["training"]}) == 4
    roles = {(d.name, d.seed): d.role for d in found["benchmark"]}
    assert roles == {
        ("CHGNet 0.3.0", None): "foundation",
        ("CHGNet 0.2.0", None): "foundation",
        ("Binaries", 1): "fine-tuned",
        ("Binaries", 2): "fine-tuned",
        ("Three metals", 1): "fine-tuned",
        ("From scratch", 1): "from scratch",
        ("All together", None): "committee",
        ("Its own calculator", None): "foundation",
    }


def _check_tables(found: dict[str, list[Any]]) -> None:
    """Every error again, from the labels and the models."""
    made = [*found["training"], *found["committee_model"]]
    tuned: dict[str, ModelDoc] = {d.model.sha256: d for d in made}
    trained_on = {d.checksum: set(d.n_frames) for d in found["dataset"]}
    labels: dict[str, LabelDoc] = {d.uuid: d for d in found["label"]}
    test_sets = {d.name: d for d in found["test_set"]}
    assert set(test_sets) == set(NAMES)
    assert set(test_sets["Binaries"].members) < set(test_sets["Ordered"].members)
    bench: BenchmarkDoc
    for bench in found["benchmark"]:
        own = tuned.get(bench.model.sha256 or "")
        known = trained_on[own.dataset_checksum] if own else set()
        spec = local_model(own) if own else bench.model
        assert [(t.test_set, t.geometry) for t in bench.tables] == [(k, "fixed") for k in NAMES]
        for table in bench.tables:
            test_set = test_sets[table.test_set]
            used = {k: labels[u] for k, u in test_set.labels.items()}
            frames = [x.trajectory.to_frames()[-1] for x in used.values() if x.trajectory]
            told = family(spec.family).evaluate(spec, frames)
            model = dict(zip(used, (p.energy for p in told), strict=True))
            reference = {k: x.energy or 0 for k, x in used.items()}
            errors = {}
            for key in test_set.members:
                counts = used[key].structure.counts
                if len(counts) == 1:
                    continue
                of_ends = [
                    n * (model[end] - reference[end])
                    for el, n in counts.items()
                    for end in [test_set.end_points[el]]
                ]
                wrong = model[key] - reference[key] - sum(of_ends)
                errors[key] = 1e3 * wrong / sum(counts.values())
            new = [abs(v) for k, v in errors.items() if k not in known]
            assert table.n == len(errors)
            assert table.n_trained == len(errors) - len(new)
            mae = float(np.mean(np.abs(list(errors.values()))))
            assert table.mixing_mae_mev == pytest.approx(mae, abs=0.02)  # single precision
            if new:
                assert table.new_mixing_mae_mev == pytest.approx(float(np.mean(new)), abs=0.02)
            else:
                assert table.new_mixing_mae_mev is None
        # A structure of two test sets is evaluated once: equal to the last bit.
        energies: dict[str, set[tuple[float, float]]] = {}
        for p in bench.fixed:
            energies.setdefault(p.structure_id, set()).add((p.model_energy, p.model_mixing_mev))
        assert all(len(v) == 1 for v in energies.values())
        assert len(energies) == 6 + 22
        assert len(bench.fixed) == 6 + 10 + 22


def test_another_study_finds_the_labels_of_the_first(
    connection: Connection, tmp_path: Path
) -> None:
    """The teacher's labels are in the test set; each is computed by one job."""

    def run(name: str, expression: str) -> list[LabelDoc]:
        path = tmp_path / f"{name}.yaml"
        path.write_text(TEACHER.format(name=name, set=expression))
        report = str(tmp_path / "report.html")
        cli(connection, "run", str(path), "--workers", "1", "--report", report)
        with connection.job_store() as store:
            return documents(store, "label", name)  # type: ignore[return-value]

    jobs = connection.launchpad().fireworks
    count = {"name": {"$regex": "^synthetic "}}
    first = run("first", "1(1)+2(2)")
    assert jobs.count_documents(count) == len(first) == 3
    second = run("second", "1(1)+2(2,3)")
    assert jobs.count_documents(count) == 3 + 4
    assert {d.uuid for d in first} < {d.uuid for d in second}
    assert sorted(d.campaign or "" for d in second) == ["first"] * 3 + ["second"] * 4
    with connection.job_store() as store:
        [test_set] = documents(store, "test_set", "second", load=True)
    assert set(test_set.sources["labels"]) == {d.uuid for d in second}
    assert {test_set.engine} == {d.engine for d in second} == {"synthetic:chgnet-0.3.0"}
