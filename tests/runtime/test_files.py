"""Files that several processes write at once, and writers that are killed."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hea_flows.runtime import (
    atomic_write,
    check_writable,
    clear_partial,
    read_text,
    redact,
)
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


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    before = target.stat().st_ino
    link.symlink_to("target")
    atomic_write(link, "new")
    assert link.readlink() == Path("target")
    assert target.read_text() == "new"
    assert target.stat().st_ino != before  # replaced as a whole
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "later")
    atomic_write(dangling, "there")
    assert dangling.is_symlink()
    assert (tmp_path / "later").read_text() == "there"
    assert {p.name for p in tmp_path.iterdir()} == {"target", "link", "dangling", "later"}


def test_a_device_and_a_fifo_are_written_to(tmp_path: Path) -> None:
    before = Path(os.devnull).stat()
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    atomic_write(Path(os.devnull), "gone")
    atomic_write(link, "gone")
    assert link.readlink() == Path(os.devnull)
    assert os.path.samestat(before, Path(os.devnull).stat())
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(fifo, b"x" * 1000)
    assert os.read(reader, 2000) == b"x" * 1000
    os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert {p.name for p in tmp_path.iterdir()} == {"null", "fifo"}


def test_an_open_descriptor_is_written_to_whatever_file_it_is(tmp_path: Path) -> None:
    path = tmp_path / "out"
    code = (
        "from pathlib import Path; from hea_flows.runtime import atomic_write;"
        "print('before'); atomic_write(Path('/dev/stdout'), 'content\\n'); print('after')"
    )
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert path.read_text() == "before\ncontent\nafter\n"
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert piped.stdout == b"before\ncontent\nafter\n"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("folder", errno.EISDIR),
        ("file/below", errno.ENOTDIR),
        ("file/below/it", errno.ENOTDIR),
        ("x" * 300, errno.ENAMETOOLONG),
        ("loop", errno.ELOOP),
        ("full", errno.ENOSPC),
    ],
)
def test_errors_name_the_path_and_leave_nothing(tmp_path: Path, name: str, number: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "full").symlink_to("/dev/full")
    before = set(tmp_path.rglob("*"))
    path = tmp_path / name
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        atomic_write(path, "content")
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    if name != "full":  # what a device takes is not known before
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            check_writable(path)
        assert caught.value.filename == str(path)
    assert set(tmp_path.rglob("*")) == before


def test_a_file_of_the_longest_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    atomic_write(path, "whole")
    assert path.read_text() == "whole"
    clear_partial(path)
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_be_written_is_not_touched(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("old")
    for path in (old, tmp_path / "new", tmp_path / "folder" / "new", Path("/dev/stdout")):
        check_writable(path)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_text() == "old"


def test_text_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("name: ä".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.yaml is not text in UTF-8 \(byte 7 is"):
        read_text(path)


def test_secrets_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_TOKEN", "tok-123456")
    text = "s3://key:geheim@host/x tok-123456 {'password': 'ge heim', aws_secret_access_key=geheim}"
    assert redact(text) == "s3://***@host/x *** {'password': ***, aws_secret_access_key=***}"
    assert redact("the password of the user is wrong") == "the password of the user is wrong"
