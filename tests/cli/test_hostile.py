"""Whatever a person types or points at gets one line, and nothing is written.

Each case is a verb and an input that it cannot use: the exit code is 1 or 2, never that of a fault
of the program, and the line names what was given.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hea_flows.cli import main
from hea_flows.services import mongod
from hea_flows.services.connection import Connection
from hea_flows.services.mongod import LocalMongod

BASE = """\
name: a
alloy: {elements: [Mo, W]}
structures: [{set: "1(1)+2(2)"}]
"""
LONG = "x" * 300
DIGITS = "9" * 400


@pytest.fixture
def here(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a file, a folder and a loop of links; no database answers."""
    folder = tmp_path / "here"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_text("x")
    (folder / "loop").symlink_to("loop")
    monkeypatch.chdir(folder)
    dead = "mongodb://me:geheim@127.0.0.1:9/?serverSelectionTimeoutMS=100"
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", dead)
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int | None = None) -> str:
    before = sorted(Path.cwd().rglob("*"))
    actual = main(arguments)
    said = capsys.readouterr().err
    assert actual in ((1, 2) if code is None else (code,)), said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert sorted(Path.cwd().rglob("*")) == before
    return said


NO_FILES = {
    "folder": "folder is no regular file",
    "nowhere.yaml": "no campaign file at nowhere.yaml",
    "file/below": "no campaign file at file/below",
    LONG: f"{LONG}: File name too long",
    "loop": "no campaign file at loop",
    "/dev/zero": "/dev/zero is no regular file",
    "": "is no regular file",
}
CONTENTS = {
    b"name: \xe4": "is no UTF-8 text (byte 7)",
    bytes(range(256)): "is no UTF-8 text (byte 129)",
    b"": "must hold keys such as name",
    b"[1]": "must hold keys such as name",
    b"a: " + b"[" * 3000: "more than 30 levels are nested",
    b"&a {name: *a}": "an alias stands inside what it refers to",
    b"title: 2020-13-45": "'2020-13-45' cannot be read as timestamp",
    b"a:\n\t- b": "is not valid YAML",
    b"? [1, 2]\n: 3": "is not valid YAML",
    b"!!python/object:os.system {}": "is not valid YAML: line 1: could not determine a constructor",
    b"name: a\0b": "is not valid YAML: unacceptable character",
    BASE.encode() + b"seed: " + b"9" * 5000: "cannot be read as int",
    BASE.encode() + f"seed: {DIGITS}".encode(): "seed is a number of 401 digits",
}
CHANGES = {
    "labels: {options: {dataset: 1.5}}": "option dataset of engine 'archive' is 1.5; input should",
    "labels: {options: {dataset: .}}": "no dataset '.'; give the path of a card",
    "labels: {options: {dataset: folder}}": "no dataset 'folder'",
    f"labels: {{options: {{dataset: {LONG}.json}}}}": "File name too long",
    "labels: {options: &a {dataset: *a}}": "an alias stands inside what it refers to",
    "labels: {engine: gpaw, options: {fmax: -1}}": "option fmax of engine 'gpaw' is -1; input",
    "labels: {engine: gpaw, options: {settings: {cutof: 5}}}": "option settings.cutof",
    "labels: {engine: gpaw, options: {settings: {mesh: [0, 1, 1]}}}": "option settings.mesh.0",
    "labels: {engine: vasp, options: {incar: 5}}": "option incar of engine 'vasp' is 5",
    "labels: {engine: vasp, options: {run_vasp: {nope: 1}}}": "run_vasp has no argument nope",
    "labels: {engine: synthetic, options: {model: 5}}": "option model of engine 'synthetic' is 5",
    "model: {family: chgnet, path: folder}": "there is no model file folder",
    f"model: {{family: chgnet, path: {LONG}}}": "File name too long",
    "model: chgnet:0.3.0\nmonte_carlo: {temperatures: {from: 1, to: 2, n: 1.0e+400}}": "got {'",
    f"model: chgnet:0.3.0\ntraining: {{epochs: {DIGITS}}}": "epochs is a number of 401 digits",
    "model: chgnet:0.3.0\nmonte_carlo: {temperatures: [300], supercell: 99999999999999999999x1}": (
        "has about 10^20 alloyed sites"
    ),
}


@pytest.mark.parametrize("verb", ["check", "submit", "run"])
@pytest.mark.parametrize(("path", "line"), NO_FILES.items(), ids=lambda x: x[:12])
def test_campaign_files_that_are_none(
    here: Path, capsys: pytest.CaptureFixture[str], verb: str, path: str, line: str
) -> None:
    assert line in refused(capsys, verb, path, code=1)


@pytest.mark.parametrize(("content", "line"), CONTENTS.items(), ids=lambda x: str(x)[:20])
def test_files_that_are_no_campaign(
    here: Path, capsys: pytest.CaptureFixture[str], content: bytes, line: str
) -> None:
    (here / "a.yaml").write_bytes(content)
    said = refused(capsys, "submit", "a.yaml", code=1)
    assert line in said
    assert "a.yaml" in said


@pytest.mark.parametrize(("change", "line"), CHANGES.items(), ids=lambda x: str(x)[:30])
def test_values_of_campaign_files(
    here: Path, capsys: pytest.CaptureFixture[str], change: str, line: str
) -> None:
    (here / "a.yaml").write_text(BASE + change)
    assert line in refused(capsys, "submit", "a.yaml", code=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.yaml").touch(mode=0)
    assert "a.yaml: Permission denied" in refused(capsys, "check", "a.yaml", code=1)


FILES = {
    "sets show": ("sets", "show", "2(2)", "-o"),
    "report": ("report", "--campaign", "a", "-o"),
    "hull": ("hull", "-o"),
    "export dataset": ("export", "dataset", "--campaign", "a"),
    "export model": ("export", "model", "--campaign", "a"),
    "export tdb": ("export", "tdb", "--campaign", "a"),
    "run": ("run", "quickstart", "--report"),
}
FOLDERS = {
    "figures": ("figures", "--campaign", "a", "-o"),
    "export chains": ("export", "chains", "--campaign", "a"),
}


@pytest.mark.parametrize("verb", [*FILES, *FOLDERS])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("folder", "Is a directory"),
        ("file/below.svg", "Not a directory"),
        ("file/below/it.svg", "Not a directory"),
        (f"{LONG}.svg", "File name too long"),
        ("loop", "Too many levels of symbolic links"),
    ],
    ids=lambda x: x[:12],
)
def test_outputs_are_refused_before_anything_is_asked(
    here: Path, capsys: pytest.CaptureFixture[str], verb: str, path: str, line: str
) -> None:
    if verb in FOLDERS and path == "folder":
        pytest.skip("a folder is what it takes")
    said = refused(capsys, *(FILES | FOLDERS)[verb], path, code=1)
    assert said == f"error: {path}: {line}\n"


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_file_is_no_folder(here: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert refused(capsys, *FOLDERS[verb], "file", code=1) == "error: file: Not a directory\n"


def test_a_full_device(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, *FILES["sets show"], "/dev/full", code=1)
    assert said == "error: /dev/full: No space left on device\n"
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize(
    "arguments",
    [
        ("worker", "--poll", "0"),
        ("worker", "--poll", "nan"),
        ("worker", "--max-launches", "0"),
        ("worker", "--max-idle", "-1"),
        ("worker", "--leave-before", "x"),
        ("status", "0"),
        ("status", DIGITS),
        ("run", "quickstart", "--workers", "0"),
        ("run", "quickstart", "--workers", DIGITS),
        ("check", "quickstart", "--workers", "-1"),
        ("sets", "show", "2(2)", "--seed", "-1"),
        ("deed", "--sigma", "1", "--h-ave", "1", "--h-hull", "1", "--atoms-per-unit", DIGITS),
        ("hull", "--calculation", "none"),
        ("nope",),
    ],
    ids=lambda x: " ".join(x)[:30],
)
def test_options_out_of_range(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "try `hea-flows --help`" in refused(capsys, *arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("deed", "--sigma", "nan", "--h-ave", "1", "--h-hull", "1"), "DEED needs sigma > 0"),
        (("sets", "show", ""), "set expression '', position 1"),
        (("sets", "show", "2(2)", "--elements", ""), "unknown element ''"),
        (("sets", "show", "2(2)", "--elements", "Mo,Mo"), "elements must be distinct"),
        (("sets", "show", "2(2)", "--prototype", "fcc", "--anion", "S"), "takes no anion"),
        (("figures", "--campaign", "a", "-o", "f", "--format", "x"), "no format 'x'; accepted"),
        (("worker", "--query", "[" * 100_000), "the query is [[["),
        (("worker", "--query", '{"a": 1'), "accepted is a JSON object"),
        (("worker", "--query", '{"a":' + "9" * 5000 + "}"), "accepted is a JSON object"),
        (("query", "--kind", "label"), "does not answer"),
        (("show", "x"), "does not answer"),
        (("status",), "does not answer"),
    ],
    ids=lambda x: " ".join(x)[:30],
)
def test_values_that_mean_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    said = refused(capsys, *arguments, code=1)
    assert line in said
    assert len(said) < 500
    assert "geheim" not in said


@pytest.fixture
def database(connection: Connection, mongo: LocalMongod) -> Connection:
    os.environ["HEA_FLOWS_MONGODB_URI"] = mongo.uri
    os.environ["HEA_FLOWS_DATABASE"] = connection.database_name
    return connection


@pytest.mark.parametrize(
    "query",
    [
        '{"$foo": 1}',
        '{"a": {"$foo": 1}}',
        '{"a": ' + "9" * 30 + "}",
        '{"$where": "x("}',
        '{"fw_id": {"$in": 5}}',
        '{"\\u0000": 1}',
        '{"spec": {"$regex": "("}}',
    ],
)
def test_queries_that_mongodb_does_not_take(
    database: Connection, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    assert main(["worker", "--query", query]) == 1
    assert capsys.readouterr().err.startswith("error: MongoDB does not take the worker's query: ")


@pytest.mark.parametrize("verb", [("show", "\udcff"), ("report", "--campaign", "\udcff")])
def test_bytes_that_are_no_text(
    database: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(verb) == 1
    assert "\\udcff' is not text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('port: "27017"', "TypeError: "),
        ("port: 9\n    mongoclient_kwargs: {serverSelectionTimeoutMS: 100}", "does not answer"),
        (
            (
                "ssh_tunnel: {'@module': maggma.stores.ssh_tunnel, '@class': SSHTunnel, "
                "tunnel_server_address: '127.0.0.1:9', remote_server_address: '127.0.0.1:9'}"
            ),
            "",
        ),
    ],
    ids=["port", "dead", "tunnel"],
)
def test_jobflows_own_file(
    machine: Path, capsys: pytest.CaptureFixture[str], line: str, reason: str
) -> None:
    home = Path(os.environ["HOME"])
    (home / ".fireworks").mkdir()
    (home / ".fireworks" / "my_launchpad.yaml").write_text("host: 127.0.0.1\nport: 9\nname: fw\n")
    (home / ".jobflow.yaml").write_text(
        "JOB_STORE:\n  docs_store:\n    type: MongoStore\n    host: 127.0.0.1\n    database: a\n"
        f"    collection_name: b\n    password: geheim\n    {line}\n"
        "  additional_stores: {data: {type: GridFSStore, host: 127.0.0.1, database: a, "
        "collection_name: c}}\n"
    )
    said = refused(capsys, "query", "--kind", "label", code=1)
    assert str(home / ".jobflow.yaml") in said
    assert reason in said
    assert "geheim" not in said


def test_s3_without_credentials(
    machine: Path, mongo: LocalMongod, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("boto3")
    state = mongod.status(mongo.folder.parent)
    home = Path(os.environ["HOME"])
    (home / ".fireworks").mkdir()
    launchpad = f'host: "{state.uri}"\nname: fw\nuri_mode: true\n'
    (home / ".fireworks" / "my_launchpad.yaml").write_text(launchpad)
    docs = f'{{type: MongoStore, database: a, collection_name: b, uri: "{state.uri}"}}'
    index = f'{{type: MongoStore, database: a, collection_name: i, uri: "{state.uri}"}}'
    data = (
        f"{{type: S3Store, bucket: b, index: {index}, endpoint_url: 'http://127.0.0.1:9', "
        "s3_profile: {aws_access_key_id: key, aws_secret_access_key: geheim}}"
    )
    (home / ".jobflow.yaml").write_text(
        f"JOB_STORE: {{docs_store: {docs}, additional_stores: {{data: {data}}}}}\n"
    )
    said = refused(capsys, "query", "--kind", "label", code=1)
    assert str(home / ".jobflow.yaml") in said
    assert "geheim" not in said


@pytest.mark.parametrize("target", ["/dev/full", "closed"])
def test_an_output_that_takes_nothing(machine: Path, target: str) -> None:
    """In a process of its own: Python writes the rest of its output when it ends."""
    command = [sys.executable, "-m", "hea_flows", "sets", "prototypes"]
    if target == "closed":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(target, os.O_WRONLY)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 1
    lines = "error: No space left on device\n" if target == "/dev/full" else ""
    assert done.stderr == lines


def test_the_standard_output_as_a_file(machine: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hea_flows", "sets", "show", "2(2)", "--elements", "Mo,W"]
    done = subprocess.run([*command, "-o", "-"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "6"
    assert len(lines) == 8
    assert done.stderr.startswith("2(2): 1 structures, 2 alloyed sites\n")
    link, target = tmp_path / "link.xyz", tmp_path / "target.xyz"
    target.touch()
    link.symlink_to(target)
    subprocess.run([*command, "-o", link], capture_output=True, check=True)
    assert link.is_symlink()
    assert target.read_text() == done.stdout
    assert {p.name for p in tmp_path.iterdir()} >= {"link.xyz", "target.xyz"}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
