"""Whether a job of SLURM goes on: a worker inside it dies with it, on whatever host it was."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any, Self

#: Seconds to wait for an answer of SLURM.
_PATIENCE = 30.0


@dataclass(frozen=True)
class BatchJob:
    """What tells one run of a SLURM job from every other.

    Parameters
    ----------
    cluster
        Name of the cluster, empty where SLURM does not say it.
    number
        Number of the job.
    restarts
        How often the job had been put back into the queue before this run.
    user
        Numerical id of its user.
    """

    cluster: str
    number: int
    restarts: int
    user: int

    @classmethod
    def current(cls) -> Self | None:
        """Return the job that this process is in, or None."""
        number = os.environ.get("SLURM_JOB_ID", "")
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        if not (number.isdigit() and restarts.isdigit()):
            return None
        cluster = os.environ.get("SLURM_CLUSTER_NAME", "")
        return cls(cluster, int(number), int(restarts), os.getuid())

    @classmethod
    def from_dict(cls, data: dict[str, Any] | None) -> Self | None:
        """Read a job back; None if it is none."""
        try:
            return cls(**data) if data else None
        except TypeError:
            return None


def unfinished_jobs(cluster: str, user: int) -> dict[int, int] | None:
    """Return the jobs of a user that wait or run: their numbers, and how often each restarted.

    None if SLURM cannot be asked from here: it is another cluster, it does not answer, or the user
    is another one, whose jobs a cluster may hide.
    """
    if user != os.getuid() or not cluster or _cluster_name() != cluster:
        return None
    columns = "--Format=JobID:20,RestartCnt:20"
    listed = _said("squeue", "--noheader", f"--user={user}", columns)
    if listed is None:
        return None
    try:
        rows = [line.split() for line in listed.splitlines() if line.strip()]
        return {int(number): int(restarts) for number, restarts in rows}
    except ValueError:
        return None


def _cluster_name() -> str | None:
    for line in (_said("scontrol", "show", "config") or "").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "ClusterName":
            return value.strip()
    return None


def _said(*command: str) -> str | None:
    """Return what a command of SLURM prints, or None if it fails."""
    # The user's own SQUEUE_STATES and the like would hide jobs.
    hiding = ("SQUEUE_", "SLURM_CLUSTERS")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hiding)}
    try:
        done = subprocess.run(  # noqa: S603
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
