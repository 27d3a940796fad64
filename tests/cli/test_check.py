from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from hea_flows.cli import main

CAMPAIGN = """
name: test
alloy: {elements: [Mo, V]}
labels: {engine: ENGINE}
structures:
  - set: 1(1)
  - {set: "2(2)+2(3)", use: held-out}
"""


def write(folder: Path, engine: str) -> str:
    path = folder / f"{engine}.yaml"
    path.write_text(CAMPAIGN.replace("ENGINE", engine))
    return str(path)


def cells(said: str, first: str) -> list[str]:
    [line] = [line for line in said.splitlines() if line.startswith(f"│ {first}")]
    return [cell.strip() for cell in line.strip("│").split("│")]


@pytest.mark.usefixtures("machine")
def test_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gpaw", reason="GPAW is not installed, see docs/gpaw.md")
    config = write(tmp_path, "gpaw")
    assert main(["check", config, "--workers", "3"]) == 0
    said = capsys.readouterr().out
    head = ["1(1)", "training", "gpaw", "2", "3", "19", "1"]
    assert cells(said, "1(1)")[:7] == head
    assert cells(said, "2(2)")[:7] == ["2(2)+2(3)", "held-out", "gpaw", "5", "6–9", "9–25", "5"]
    one, three = (float(cell) for cell in cells(said, "2(2)")[7:9])
    assert one > three > one / 3 - 0.1
    assert cells(said, "all")[3] == "7"
    assert "Nothing is wrong." in said
    assert main(["check", config, "--workers", "1000000"]) == 0
    said = capsys.readouterr().err
    total = psutil.virtual_memory().total / 1e9
    assert f"this machine has {total:.1f} GB" in said
    monkeypatch.setenv("HEA_FLOWS_GPAW_COMMAND", "mpiexec -n 4 gpaw python")
    assert main(["check", config]) == 0
    assert "gpaw_command (mpiexec -n 4 gpaw python) share" in capsys.readouterr().out


@pytest.mark.usefixtures("machine")
def test_engines_without_an_estimate_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", write(tmp_path, "archive")]) == 0
    said = capsys.readouterr().out
    assert cells(said, "1(1)") == ["1(1)", "training", "archive", "2", "3", *["–"] * 5]
    assert cells(said, "all") == ["all", "", "", "7", *[""] * 3, *["–"] * 3]
    assert "archive: counted only; this engine offers no estimate." in said


@pytest.mark.usefixtures("machine")
def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", write(tmp_path, "vsap")]) == 1
    assert "unknown reference engine 'vsap'" in capsys.readouterr().err
    assert main(["check", "nowhere/none.yaml"]) == 1
    assert "no campaign file at nowhere/none.yaml" in capsys.readouterr().err
    assert main(["check", write(tmp_path, "archive"), "--workers", "0"]) == 2
