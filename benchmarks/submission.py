"""How long it takes to submit a campaign of many labels, and to make their jobs.

The time of `hea-flows submit` on a real mongod, and that of the jobs that put one job per label on
the launchpad (campaign file, structures, labels); no label is computed.

    python benchmarks/submission.py --small       # 10 and 126 structures
    python benchmarks/submission.py               # 10, 126, 426 and 1001
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from own_machine import ALLOY, STRUCTURES, load, own_machine, print_table

if TYPE_CHECKING:
    from hea_flows.services import Connection

_SETS = {10: "2(2)", 126: "model-4", 426: "model-16", 1001: STRUCTURES}
_HEADER = ("n", "submit", "structures", "labels", "FireWorks", "together", "CPU", "requests")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--structures", type=int, nargs="+", choices=_SETS, default=[*_SETS])
    parser.add_argument("--small", action="store_true", help="10 and 126 structures")
    given = parser.parse_args()
    rows = []
    for n in [10, 126] if given.small else given.structures:
        print(f"{n} structures, {load()}", flush=True)
        rows.append(measure(n))
        print_table(_HEADER, rows[-1:])
    print(
        f"\nseconds; goal: 1001 structures submitted in less than 45 of an idle machine ({load()})"
    )
    print_table(_HEADER, rows)
    print(
        "submit: the command; structures, labels: these jobs; FireWorks: what it adds to them,\n"
        "above all writing the labels' jobs; CPU: of all that, to tell what a busy machine adds;\n"
        "requests: round trips to the database"
    )


def measure(n: int) -> tuple[Any, ...]:
    """Submit a campaign of `n` structures and run what comes before its labels."""
    with own_machine() as folder:
        from hea_flows.jobs.labelling.labels import PART
        from hea_flows.services.connection import find_connection

        connection = find_connection(start_local=True)
        path = folder / "campaign.yaml"
        path.write_text(_campaign(n))
        requests = _requests(connection)
        began, cpu = time.monotonic(), _cpu()
        _run(folder, "submit", str(path))
        submitted = time.monotonic() - began
        launchpad = connection.launchpad()
        before = 2  # the campaign's file and the structures
        jobs = before + 1 + (-(-n // PART) if n > PART else 0)
        _run(folder, "worker", "--category", "cpu", "--max-launches", str(jobs), "--poll", "0.1")
        ended, cpu = time.time(), _cpu() - cpu
        requests = _requests(connection) - requests
        made = launchpad.fireworks.count_documents({"spec._category": "vasp", "state": "READY"})
        if made != n:
            msg = f"{made} jobs of {n} labels are ready"
            raise RuntimeError(msg)
        launches = list(launchpad.launches.find({}, {"action": 0}).sort("launch_id", 1))
        seconds = [_moment(x, "COMPLETED") - _moment(x, "RUNNING") for x in launches]
        worked = ended - _moment(launches[0], "RUNNING")
        return (
            n, submitted, seconds[1], sum(seconds[before:]), worked - sum(seconds),
            submitted + worked, cpu, requests,
        )  # fmt: skip


def _requests(connection: Connection) -> int:
    """Return how many requests the server has answered, whoever sent them."""
    return int(connection.database().client.admin.command("serverStatus")["network"]["numRequests"])


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _campaign(n: int) -> str:
    content = {
        "name": f"submission-of-{n}",
        "alloy": ALLOY,
        "structures": [{"set": _SETS[n]}],
        "labels": {"engine": "vasp"},
    }
    return yaml.safe_dump(content)


def _run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "hea_flows", *arguments]
    done = subprocess.run(  # noqa: S603
        command, env=os.environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        msg = f"hea-flows {' '.join(arguments)} failed in {folder}: {done.stderr[-2000:]}"
        raise RuntimeError(msg)


def _moment(launch: dict[str, Any], state: str) -> float:
    entry = next(x for x in launch["state_history"] if x["state"] == state)
    return datetime.fromisoformat(str(entry["created_on"])).timestamp()


if __name__ == "__main__":
    main()
