"""Files of frames are read within limits, and a wrong frame is named."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from hea_flows.inputs import LimitError
from hea_flows.runtime.extxyz import read_frames
from hea_flows.runtime.frame_stream import stream_frames

FRAME = '2\nLattice="3 0 0 0 3 0 0 0 9" Properties=species:S:1:pos:R:3 step={}\nMo 0 0 0\nS 1 1 1\n'


def test_frames_come_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "f.xyz"
    path.write_text(FRAME.format(1) + "\n" + FRAME.format(2) + "\n\n" + "no frame\n")
    frames = stream_frames(path)
    assert next(frames).info["step"] == 1
    assert next(frames).info["step"] == 2
    with pytest.raises(ValueError, match="frame 3, line 12: expected a number of atoms, found 'no"):
        next(frames)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1000000000000\n\nMo 0 0 0\n", "line 1: the file ends after 1 of 1000000000000 atoms"),
        ("2", "frame 1, line 1: the file ends after 0 of 2 atoms"),
        ("9" * 400 + "\n\n", "expected a number of atoms, found '999"),
        ("-1\n\n", "expected a number of atoms, found '-1'"),
        ("x" * 2_000_000, "line 1 is longer than 1000000 characters"),
        ("1\nProperties=species:S:1:pos:R:1000000000\nMo 0\n", "Properties give '1000000000' col"),
        ("1\nProperties=species:S:1:pos:R:3\nZz 0 0 0\n", "frame 1, line 1: "),
        (FRAME.format(1) + "1\n\nMo 0 0\n", "frame 2, line 5: "),
    ],
)
def test_what_is_no_frame(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "f.xyz"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_frames(path)
    assert message in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


@pytest.mark.parametrize(("suffix", "write"), [("gz", gzip.open), ("xz", lzma.open)])
def test_zeros_that_unpack_to_much_more(tmp_path: Path, suffix: str, write: object) -> None:
    path = tmp_path / f"f.xyz.{suffix}"
    with write(path, "wb") as file:
        for _ in range(16):
            file.write(bytes(1_000_000))
    with pytest.raises(ValueError, match="line 1 is longer than 1000000 characters"):
        read_frames(path)


def test_size_is_that_after_decompression(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.xyz.xz"
    with lzma.open(path, "wt") as file:
        for i in range(300):
            file.write(FRAME.format(i))
    assert path.stat().st_size < 3_000
    assert len(read_frames(path)) == 300
    monkeypatch.setenv("HEA_FLOWS_MAX_FRAMES_MB", "1")  # 250 small frames of 4 kB
    with pytest.raises(LimitError, match=r"has 1 MB or more; at most 1 are .*MAX_FRAMES_MB raises"):
        read_frames(path)
