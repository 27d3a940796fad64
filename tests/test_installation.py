"""What `make run` says on a machine that lacks something, and how an installation shows itself."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALIVE = ROOT / "requirements" / "alive.sh"
#: Programs of a machine without a compiler.
TOOLS = ("bash", "cat", "cut", "env", "grep", "kill", "rm", "sed", "sleep", "tail", "touch", "tr")

pytestmark = pytest.mark.skipif(
    not (ROOT / "Makefile").is_file() or shutil.which("make") is None,
    reason="only in a checkout, with make",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of what `make run` reads, and an empty machine around it."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "requirements"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (tmp_path / "bin").mkdir()
    for name in (*TOOLS, "make"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "/missing")
    return folder


def make(clone: Path, *arguments: str) -> tuple[int, str]:
    """Run make where nothing but TOOLS is installed; return its status and what it said."""
    path = str(clone.parent / "bin")
    done = subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env={"PATH": path, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def program(clone: Path, name: str, text: str) -> Path:
    path = clone.parent / "bin" / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("target", ["run", "test"])
def test_without_a_compiler_nothing_is_made(clone: Path, target: str) -> None:
    status, said = make(clone, target, f"PYTHON={sys.executable}")
    first, *rest = said.splitlines()
    assert status != 0
    assert first == (
        "No C++ compiler 'g++', with which pip builds icet; on Debian: apt-get install g++"
    )
    assert [line.startswith("make: ***") for line in rest] == [True]
    assert not (clone / ".venv").exists()


def test_without_python_headers_nothing_is_made(clone: Path) -> None:
    program(clone, "g++", "exit 0")
    bare = program(
        clone,
        "python3.11",
        f'case "$*" in *get_path*) echo /nowhere;; *) exec {sys.executable} "$@";; esac',
    )
    status, said = make(clone, "run", f"PYTHON={bare}")
    assert status != 0
    assert said.splitlines()[0] == (
        "No Python.h in /nowhere, which icet is built with; on Debian: apt-get install python3-dev"
    )
    assert not (clone / ".venv").exists()


def test_a_compiler_that_went_away_is_missed_before_pip_runs(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text("#!/bin/bash\necho pip runs\n")
    (clone / ".venv" / "bin" / "python").chmod(0o755)
    status, said = make(clone, "run", f"PYTHON={sys.executable}")
    assert status != 0
    assert said.startswith("No C++ compiler 'g++'")
    assert not (clone / ".venv" / ".installed-run").exists()


def alive(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ALIVE, tmp_path / "log", "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_goes_well_says_nothing_in_a_log_of_ci(tmp_path: Path) -> None:
    done = alive(tmp_path, "echo Collecting torch; echo a warning >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "log").read_text() == "Collecting torch\na warning\n"


def test_what_fails_shows_its_errors_and_status(tmp_path: Path) -> None:
    done = alive(tmp_path, "seq 99; echo 'ERROR: no such package' >&2; seq 99; exit 3")
    assert done.returncode == 3
    assert done.stderr == f"ERROR: no such package\nThe whole output is in {tmp_path}/log.\n"
    done = alive(tmp_path, "seq 99; exit 1")
    assert done.stderr.splitlines()[:-1] == ["95", "96", "97", "98", "99"]


def test_a_terminal_shows_the_last_line_and_the_seconds(tmp_path: Path) -> None:
    script = "echo Collecting numpy; echo Downloading torch; sleep 3"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [ALIVE, tmp_path / "log", "bash", "-c", script], stderr=theirs
    ) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 1000)
            except OSError:  # closed at the other end
                break
            shown += part
            if not part:
                break
    os.close(ours)
    assert running.returncode == 0
    lines = shown.decode().split("\r\x1b[K")
    assert any(line.endswith(" s  Downloading torch") for line in lines)
    assert lines[-1] == ""  # and leaves nothing behind
