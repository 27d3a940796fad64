"""The fault plan, the launch counters and the log of a stand-in's folder.

`faults.json` maps a key to a list, one entry per launch: null or
`{"kind": ..., "step": ionic step, "always": true}`. The key is a component of the current folder's
path, or several that follow each other (`abc/relax`). `always` repeats an entry for every later
launch. A fault comes in the given ionic step (1 if not given) or in the last one, if the run ends
before.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLAN, LOG, COUNTERS = "faults.json", "log.jsonl", "launches"
KINDS = (
    "sigkill", "walltime", "crash", "electronic", "ionic", "truncated", "zbrent", "nan_forces",
    "potcar_order",
)  # fmt: skip


def match(plan: Mapping[str, Any], directory: Path) -> str | None:
    """Return the longest key whose components follow each other in the path."""
    parts = directory.parts
    found = []
    for key in plan:
        wanted = tuple(key.strip("/").split("/"))
        ends = range(len(wanted), len(parts) + 1)
        if any(parts[end - len(wanted) : end] == wanted for end in ends):
            found.append(key)
    return max(found, key=len, default=None)


def read_plan(folder: Path) -> dict[str, list[Any]]:
    """Return the fault plan, empty if there is none.

    Raises
    ------
    ValueError
        If it has an unknown fault.
    """
    path = folder / PLAN
    plan: dict[str, list[Any]] = json.loads(path.read_text()) if path.exists() else {}
    for key, entries in plan.items():
        for entry in entries:
            if entry is not None and entry.get("kind") not in KINDS:
                msg = f"{path}: {key}: unknown fault {entry!r}; accepted kinds: {', '.join(KINDS)}"
                raise ValueError(msg)
    return plan


def chosen(entries: list[Any], launch: int) -> dict[str, Any] | None:
    """Return the fault of a launch, counted from 1."""
    if launch <= len(entries):
        entry = entries[launch - 1]
    else:
        entry = entries[-1] if entries and (entries[-1] or {}).get("always") else None
    return dict(entry) if entry is not None else None


def count_launch(folder: Path, key: str) -> int:
    """Return the number of this launch; no two processes get the same."""
    counter = folder / COUNTERS / key.replace("/", "%")
    counter.mkdir(parents=True, exist_ok=True)
    launch = 1
    while True:
        try:
            os.close(os.open(counter / str(launch), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            launch += 1
        else:
            return launch


def log(folder: Path, **entry: Any) -> None:
    """Append one line, whole, however many processes write."""
    line = json.dumps({"time": time.time(), "pid": os.getpid()} | entry) + "\n"
    descriptor = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def process_start() -> float:
    """Return when this process began, the interpreter's start included, s since the epoch."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    now = time.time()
    start = now - uptime + ticks
    return start if now - 10 < start < now else now
