"""The command line in a process of its own, with the database of a test."""

from __future__ import annotations

import os
import subprocess
import sys

from hea_flows.services import Connection


def cli(connection: Connection, *arguments: str, check: bool = True) -> str:
    """Run a command; return what it printed."""
    environment = {**os.environ, **connection.environment(), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "hea_flows", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr
