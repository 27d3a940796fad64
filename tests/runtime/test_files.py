"""Files that several processes write at once, and writers that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hea_flows.runtime import atomic_write, clear_partial
from hea_flows.schemas import StoredFile

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "atomic_writes.py"
#: Writes two contents of 1 MB in turn, for ever.
WRITER = """\
import sys
from pathlib import Path
from hea_flows.runtime import atomic_write
print("ready", flush=True)
while True:
    for byte in b"ab":
        atomic_write(Path(sys.argv[1]), bytes([byte]) * 1_000_000)
"""


def test_two_processes_write_one_file_at_once() -> None:
    command = [sys.executable, str(SCRIPT), "--rounds", "50", "--kilobytes", "200"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("200 calls of 2 processes in 50 rounds: 0 failures")


def test_a_killed_writer_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    contents = {byte * 1_000_000 for byte in (b"a", b"b")}
    atomic_write(path, b"a" * 1_000_000)
    for delay in (0.0, 0.003, 0.007):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        assert path.read_bytes() in contents
    clear_partial(path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "file"
    atomic_write(path, "ä")
    assert path.read_bytes() == b"\xc3\xa4"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hea_flows.runtime.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "new")
    assert path.read_text(encoding="utf-8") == "ä"
    assert list(path.parent.iterdir()) == [path]


def test_only_the_owner_reads_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    atomic_write(path, "secret", private=True)
    assert [p.stat().st_mode & 0o777 for p in (path.parent, path)] == [0o700, 0o600]


def test_a_damaged_model_file_is_written_again(tmp_path: Path) -> None:
    file = StoredFile.from_bytes("model.pt", b"weights")
    path = file.write_to(tmp_path / "models")
    path.write_bytes(b"weig")
    assert file.write_to(tmp_path / "models") == path
    assert path.read_bytes() == b"weights"
