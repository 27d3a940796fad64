"""Bad input gets one line on the standard error, and an exit code that is not zero."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from hea_flows.cli import main

BASE = """\
name: a
alloy: {elements: [Mo, W]}
structures: [{set: "1(1)+2(2)"}]
"""


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) not in (0, None)
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[Mo, W]", "[Mo, Zz]", "unknown element 'Zz'; give chemical symbols such as Mo, Ta, S"),
        ("1(1)+2(2)", "3(3)", "asks for 3 components, but only 2 are in use (Mo, W)"),
        ("1(1)+2(2)", "random(3x3, n=1, components=2, equimolar)", "9 sites"),
        ("[Mo, W]", "5", "alloy.elements is 5; input should be a valid tuple"),
        ("name: a", "name: a\nsede: 4", "sede is no key of Campaign"),
        ("name: a", "name: a\nlabels: {engine: abinit}", "abinit"),
        (
            "name: a",
            "name: a\nlabels: {engine: archive, options: {dataset: x}}",
            "no dataset 'x'; give the path of a card (.json) or a shipped name:",
        ),
        ("name: a", "name: a\nmodel: chagnet", "chagnet"),
        (
            "name: a",
            "name: a\ntest_sets: {B: 2(2)}\nmodels: [{name: m, model: 'chagnet:1'}]",
            "unknown model family 'chagnet'; accepted: ase, chgnet",
        ),
        ("name: a", "name: a\nmodel: {family: chgnet, path: none.pt}", "none.pt"),
        (
            "name: a",
            "name: a\nmodel: chgnet:0.3.0\ntraining: {method: lora}",
            "chgnet has no training method 'lora'; accepted: all, frozen embedding, frozen inter",
        ),
        (
            "name: a",
            "name: a\nlabels: {engine: archive, options: {datset: x}}",
            "engine 'archive' has no option datset; accepted: calculation, dataset, settings_id",
        ),
    ],
)
def test_campaign_files(
    machine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    old: str,
    new: str,
    message: str,
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(BASE.replace(old, new))
    assert message in fails(capsys, verb, str(path))
    assert not machine.exists()  # told before a test set was started


def test_a_model_with_another_checksum(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pt").write_bytes(b"not what was promised")
    model = f"{{family: chgnet, path: model.pt, sha256: '{'0' * 64}'}}"
    path = tmp_path / "a.yaml"
    path.write_text(BASE + f"model: {model}\n")
    error = fails(capsys, "run", str(path))
    assert "0" * 12 in error
    assert "model.pt" in error
    assert not machine.exists()


@pytest.mark.skipif(find_spec("mace") is None, reason="mace-torch is not installed")
@pytest.mark.parametrize(
    ("model", "method", "message"),
    [
        ("mace", "lora", "training method 'lora' needs a parent; from scratch all weights are tr"),
        ("mace:small", "{kind: replay, file: none.xyz}", "no replay file at none.xyz"),
    ],
)
def test_methods_of_training(
    machine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    method: str,
    message: str,
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{BASE}model: {model}\ntraining: {{method: {method}}}\n")
    assert message in fails(capsys, "run", str(path))
    assert not machine.exists()


def test_no_file(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = fails(capsys, "run", "nothing.yaml")
    assert "no campaign file at nothing.yaml; give the path of one, or a shipped name: " in error
    assert "quickstart" in error


def test_unreachable_test_set(
    machine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = "mongodb://me:secret@127.0.0.1:9/?serverSelectionTimeoutMS=200"
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", uri)
    path = tmp_path / "a.yaml"
    path.write_text(BASE)
    error = fails(capsys, "run", str(path))
    assert "does not answer" in error
    assert "secret" not in error


def test_deed_and_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deed", "--sigma", "0.0041", "--h-ave", "0.0292", "--h-hull", "0.0069"]) == 0
    assert capsys.readouterr().out == "DEED = 82 (eV/unit)⁻¹ = 247 (eV/atom)⁻¹\n"
    assert "DEED needs sigma > 0" in fails(
        capsys, "deed", "--sigma", "0", "--h-ave", "1", "--h-hull", "0"
    )
    assert main(["sets", "show", "E(2,4,6,8)"]) == 0
    assert capsys.readouterr().out.startswith("E(2,4,6,8): 40 structures")
    assert main(["sets", "show", "model-4"]) == 0
    assert capsys.readouterr().out.startswith("model-4: 126 structures, 490 alloyed sites")
    assert "did you mean model-4" in fails(capsys, "sets", "show", "modle-4")
    assert main(["sets", "show", "random(3x3, x={Mo: 0.4, V: 0.6})"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "  composition asked for Mo 0.4, V 0.6; 9 sites hold Mo 4, V 5"
