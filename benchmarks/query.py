"""How long queries take with 100,000 documents in the database, and which index answers them.

Documents of campaigns, 500 each, are put into a real mongod as jobflow would. Then each query of
docs/database.md is asked many times, of another campaign, structure or job each time. All requests
that a query sent are explained: the stages of their plans are printed, and a request that reads a
whole collection ends the benchmark with an error. What the imports and the filling left in memory
is frozen first (gc.freeze): Python's collector takes 0.15 s to walk through it, now and then.

    python benchmarks/query.py --small           # 5,000 documents
    python benchmarks/query.py                   # 100,000
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from jobflow import JobStore
from own_machine import load, own_machine, print_table
from pymongo import InsertOne, monitoring
from stored_campaign import campaign_documents, memory_store

#: Documents of each campaign.
SIZE = 500
#: Milliseconds that 95 of 100 queries have to stay below.
GOAL = 50.0
#: Documents of a campaign, where there is more than one; the rest are labels.
_SEVERAL = {"training": 6, "benchmark": 3}
#: Labels of each campaign that a second run of their job wrote again.
RERUN = 10
_HEADER = ("query", "documents", "median ms", "95th ms", "CPU ms", "stages")


class Finds(monitoring.CommandListener):
    """The finds and aggregations that were sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Keep the command."""
        if event.command_name in {"find", "aggregate"}:
            self.sent.append(dict(event.command))

    def succeeded(self, event: object) -> None:
        """Do nothing."""

    def failed(self, event: object) -> None:
        """Do nothing."""


def main() -> None:
    """Fill a database, ask, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--small", action="store_true", help="5,000 documents")
    parser.add_argument("--repeat", type=int, default=100, help="of each query")
    given = parser.parse_args()
    n = 5_000 if given.small else given.documents
    finds = Finds()
    monitoring.register(finds)
    with own_machine():
        from hea_flows.services import find_connection

        connection = find_connection(start_local=True)
        connection.ensure_indexes()
        outputs = connection.database()["outputs"]
        rows = []
        for row in _rows(n // SIZE):
            rows.append(InsertOne(row))
            if len(rows) == 1000:
                outputs.bulk_write(rows, ordered=False)
                rows = []
        if rows:
            outputs.bulk_write(rows, ordered=False)
        there = outputs.estimated_document_count()
        size = connection.database().command("collStats", "outputs")["size"] / 1e6
        print(f"{there} outputs of {n // SIZE} campaigns, {size:.0f} MB; {load()}", flush=True)
        with connection.job_store() as store:
            gc.collect()
            gc.freeze()
            table = [
                _measure(name, ask, store, finds, given.repeat)
                for name, ask in _queries(n // SIZE).items()
            ]
    print_table(_HEADER, table)
    print("CPU: median of this process, to tell what a busy machine adds; stages: of the plans")
    print(f"goal: 95th percentile below {GOAL:g} ms, no COLLSCAN ({load()})")
    if any("COLLSCAN" in str(row[-1]) for row in table):
        sys.exit("a query reads a whole collection")


def _measure(
    name: str,
    ask: Callable[[JobStore, int], int],
    store: JobStore,
    finds: Finds,
    repeat: int,
) -> tuple[Any, ...]:
    ask(store, 0)
    times, processor, found = [], [], []
    finds.sent.clear()
    for i in range(repeat):
        began, cpu = time.perf_counter(), time.process_time()
        found.append(ask(store, i))
        times.append(1e3 * (time.perf_counter() - began))
        processor.append(1e3 * (time.process_time() - cpu))
    stages = sorted({s for command in finds.sent[-5:] for s in _stages(store, command)})
    median, high = (float(x) for x in np.percentile(times, [50, 95]))
    return name, int(np.median(found)), median, high, float(np.median(processor)), " ".join(stages)


def _stages(store: JobStore, command: dict[str, Any]) -> Iterator[str]:
    """Return the stages of the plan that the server chooses for a command."""
    database = store.docs_store._collection.database  # noqa: SLF001
    bare = {k: v for k, v in command.items() if k not in {"lsid", "$db", "$clusterTime"}}
    plan = database.command("explain", bare, verbosity="queryPlanner")
    yield from _names(plan)


def _names(plan: object) -> Iterator[str]:
    if isinstance(plan, dict):
        for key, value in plan.items():
            if key == "stage" and not str(value).startswith("PROJECTION"):
                yield str(value)
            elif key != "rejectedPlans":
                yield from _names(value)
    elif isinstance(plan, list):
        for each in plan:
            yield from _names(each)


def _rows(campaigns: int) -> Iterator[dict[str, Any]]:
    """Yield outputs as jobflow writes them, fields in the data store left out."""
    templates: dict[str, list[dict[str, Any]]] = {}
    for row in memory_store(campaign_documents()).query({}):
        row.pop("_id")
        templates.setdefault(row["output"]["kind"], []).append(row)
    labels = templates.pop("label")
    others = [row for kind in sorted(templates) for row in templates[kind] * _SEVERAL.get(kind, 1)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for c in range(campaigns):
        n_labels = SIZE - len(others) - RERUN
        uuids = [_uuid(c, j) for j in range(n_labels)]
        used = {f"structure-{c}-{j}": uuid for j, uuid in enumerate(uuids)}
        for j, row in enumerate([*(labels[j % len(labels)] for j in range(n_labels)), *others]):
            output = row["output"] | {
                "uuid": _uuid(c, j),
                "campaign": f"campaign-{c}",
                "created_at": start + timedelta(hours=c, seconds=j),
            }
            if output["kind"] == "label":
                output["structure"] = output["structure"] | {"structure_id": f"structure-{c}-{j}"}
            if output["kind"] in {"dataset", "test_set"}:
                output["labels"] = used
            runs = 2 if j < RERUN else 1
            for index in range(1, runs + 1):
                yield row | {"uuid": output["uuid"], "index": index, "output": output}


def _uuid(campaign: int, number: int) -> str:
    return str(uuid5(NAMESPACE_OID, f"{campaign} {number}"))


def _queries(campaigns: int) -> dict[str, Callable[[JobStore, int], int]]:
    """Return the queries of docs/database.md: given a number, they return how many they found."""
    from hea_flows.results.store import documents, get_document, get_documents
    from hea_flows.schemas import BenchmarkDoc, LabelDoc, MonteCarloDoc, TrainingDoc

    def name(i: int) -> str:
        return f"campaign-{17 * i % campaigns}"

    def label(i: int) -> str:
        return _uuid(17 * i % campaigns, 2 * RERUN)

    def labels(i: int) -> list[str]:
        return [_uuid(17 * i % campaigns, j) for j in range(2 * RERUN, 2 * RERUN + 100)]

    return {
        "--kind benchmark --campaign": lambda s, i: len(documents(s, BenchmarkDoc, name(i))),
        "--kind montecarlo --campaign": lambda s, i: len(documents(s, MonteCarloDoc, name(i))),
        "--kind dataset --campaign": lambda s, i: len(documents(s, "dataset", name(i))),
        "--kind label --campaign --newest 20": lambda s, i: len(
            documents(s, LabelDoc, name(i), newest=21)
        ),
        "--kind label": lambda s, _: len(documents(s, LabelDoc, newest=21)),
        "--kind benchmark": lambda s, _: len(documents(s, BenchmarkDoc, newest=21)),
        "--kind label --superseded --campaign": lambda s, i: len(
            documents(s, LabelDoc, name(i), superseded=True)
        ),
        "--kind label --campaign": lambda s, i: len(documents(s, LabelDoc, name(i))),
        "newest model of a campaign": lambda s, i: len(
            documents(s, TrainingDoc, name(i), newest=1)
        ),
        "labels of a formula": lambda s, i: len(
            documents(s, LabelDoc, name(i), structure__formula="Mo1Ta1S4")
        ),
        "label of a structure": lambda s, i: len(
            documents(s, LabelDoc, structure__structure_id=f"structure-{17 * i % campaigns}-20")
        ),
        "failed labels of a campaign": lambda s, i: len(
            documents(s, LabelDoc, name(i), state="failed")
        ),
        "show UUID": lambda s, i: bool(get_document(s, label(i))),
        "show UUID's beginning": lambda s, i: bool(get_document(s, label(i)[:18])),
        "100 sources of a document": lambda s, i: len(get_documents(s, labels(i))),
    }


if __name__ == "__main__":
    main()
