"""Check whether a SLURM job is still running: a worker inside it dies with it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any, Self

#: Seconds to wait for a SLURM command.
_TIMEOUT = 30.0


@dataclass(frozen=True)
class BatchJob:
    """One run of a SLURM job; a job that was requeued has several.

    Parameters
    ----------
    cluster
        Name of the cluster; empty where SLURM gives none.
    number
        Job id.
    restarts
        How often the job had been requeued before this run.
    user
        Numerical id of its owner.
    """

    cluster: str
    number: int
    restarts: int
    user: int

    @classmethod
    def current(cls) -> Self | None:
        """Return the SLURM job of this process, or None."""
        number = os.environ.get("SLURM_JOB_ID", "")
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        if not (number.isdigit() and restarts.isdigit()):
            return None
        cluster = os.environ.get("SLURM_CLUSTER_NAME", "")
        return cls(cluster, int(number), int(restarts), os.getuid())

    @classmethod
    def from_dict(cls, data: dict[str, Any] | None) -> Self | None:
        """Read a job back; None if `data` describes none."""
        try:
            return cls(**data) if data else None
        except TypeError:
            return None


def unfinished_jobs(cluster: str, user: int) -> dict[int, int] | None:
    """Return the pending and running jobs of a user: number of restarts by job id.

    None if SLURM cannot be asked from here: this is another cluster, SLURM does not answer, or the
    user is another one, whose jobs a cluster may hide.
    """
    if user != os.getuid() or not cluster or _cluster_name() != cluster:
        return None
    columns = "--Format=JobID:20,RestartCnt:20"
    listing = _output("squeue", "--noheader", f"--user={user}", columns)
    if listing is None:
        return None
    try:
        rows = [line.split() for line in listing.splitlines() if line.strip()]
        return {int(number): int(restarts) for number, restarts in rows}
    except ValueError:
        return None


def _cluster_name() -> str | None:
    for line in (_output("scontrol", "show", "config") or "").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "ClusterName":
            return value.strip()
    return None


def _output(*command: str) -> str | None:
    """Return what a SLURM command prints, or None if it fails."""
    # SQUEUE_STATES and the like in the user's environment would hide jobs.
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
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
