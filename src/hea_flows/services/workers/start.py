"""Workers as processes: started, stopped, their threads and their logs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hea_flows.services.connection import Connection
from hea_flows.settings import get_settings

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def start_workers(
    n: int,
    connection: Connection,
    *,
    category: str | Sequence[str] | None = None,
    query: str | None = None,
    idle_exit: bool = True,
    poll: float = 2.0,
    share: int | None = None,
    outlive: bool = True,
) -> list[subprocess.Popen[bytes]]:
    """Start workers as processes of their own; `worker_log` names their logs.

    Parameters
    ----------
    n
        Number of workers.
    connection
        Where the jobs are.
    category, idle_exit, poll
        See `worker_loop`.
    query
        The query of `worker_loop` as JSON.
    share
        Number of workers that share the cores of this machine, `n` or more if others run already
        (default: `n`). Each has an equal part of the cores as threads, see `thread_environment`.
    outlive
        Whether they stay when this process ends. Otherwise they give their jobs back and leave,
        however it ends.
    """
    if n < 1:
        msg = f"{n} workers were requested; accepted is 1 or more"
        raise ValueError(msg)
    environment = {**os.environ, **thread_environment(share or n), **connection.environment()}
    environment.pop("JOBFLOW_JOB_STORE", None)
    command = [sys.executable, "-m", "hea_flows", "worker", "--poll", str(poll)]
    command += ["--idle-exit" if idle_exit else "--stay"]
    for one in [category] if isinstance(category, str) else category or []:
        command += ["--category", one]
    if query is not None:
        command += ["--query", query]
    if not outlive:
        command += ["--leave-with", str(os.getpid())]
    logs = worker_log(0).parent
    logs.mkdir(parents=True, exist_ok=True)
    workers = []
    for i in range(n):
        name = logs / f"starting-{os.getpid()}-{i}.log"
        with name.open("wb") as log:
            worker = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        name.replace(worker_log(worker.pid))
        workers.append(worker)
    return workers


def stop_workers(workers: Sequence[subprocess.Popen[bytes]], timeout: float = 30.0) -> None:
    """Let workers give their jobs back and exit; kill them after `timeout` seconds."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + timeout
    for worker in workers:
        try:
            worker.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def worker_log(pid: int) -> Path:
    """Return the log file of a worker that `start_workers` started."""
    return get_settings().data_dir / "logs" / f"worker-{pid}.log"


def thread_environment(share: int = 1) -> dict[str, str]:
    """Return the variables that give a worker its threads, before it loads any library.

    Parameters
    ----------
    share
        Number of workers that share the cores. What OMP_NUM_THREADS already says holds for all
        libraries.
    """
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, _cores() // share))
    given = {name: os.environ.get(name) or threads for name in _THREADS}
    # A thread that waits for the others must not keep a core from other processes.
    return {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY") or "PASSIVE", **given}


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
