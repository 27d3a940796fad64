from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hea_flows.cli import app, main
from hea_flows.services import mongod
from hea_flows.services.connection import Connection
from hea_flows.services.mongod import LocalMongod


@pytest.fixture
def verb() -> Iterator[list[Exception]]:
    """Add verbs that raise the first error of a list: `raise` as this package's code, `theirs`."""
    errors: list[Exception] = []
    for name, module in (("raise", "hea_flows.somewhere"), ("theirs", "numpy.somewhere")):
        names = {"__name__": module, "errors": errors}
        exec("def _raise() -> None:\n    raise errors[0]", names)  # noqa: S102
        app.command(name)(names["_raise"])
    yield errors
    del app.registered_commands[-2:]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")
    fmax: float = Field(gt=0)
    secret: SecretStr = SecretStr("")


def _validation_error(data: dict[str, object]) -> Exception:
    with pytest.raises(ValueError) as caught:
        Model.model_validate(data)
    return caught.value


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a = 3,\n  accepted is 4"), "a = 3, accepted is 4"),
        (FileNotFoundError(2, "No such file", "x.yaml"), "x.yaml: No such file\n"),
        (OSError(28, "No space left", "x.yaml"), "x.yaml: No space left\n"),
        (mongod.MongodError("no mongod"), "no mongod"),
        (ValueError("mongodb://me:geheim@h/ is down"), "mongodb://***@h/ is down"),
        (_validation_error({"fmax": -1}), "fmax is -1; input should be greater than 0"),
        (_validation_error({}), "fmax is missing"),
        (_validation_error({"fmax": 1, "fmx": 2}), "fmx is no key of Model"),
        (
            _validation_error({"fmax": "a", "x": 1}),
            "fmax is 'a'; input should be a valid number, unable to parse string as a number",
        ),
        (typer.BadParameter("no", param_hint="--x"), "Invalid value for --x: no; "),
    ],
)
def test_errors_are_one_line(
    verb: list[Exception],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    line: str,
) -> None:
    monkeypatch.delenv("HEA_FLOWS_DEBUG", raising=False)
    verb.append(error)
    code = main(["raise"])
    said = capsys.readouterr()
    assert code == (2 if isinstance(error, typer.BadParameter) else 1)
    assert said.out == ""
    assert said.err.startswith(f"error: {line}")
    assert said.err.count("\n") == 1
    monkeypatch.setenv("HEA_FLOWS_DEBUG", "1")
    with pytest.raises(type(error)):
        main(["raise"])


def test_faults_of_the_program_go_into_a_log(
    verb: list[Exception],
    machine: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "geheim1")
    verb.append(KeyError("mongodb://me:geheim@host geheim1"))
    assert main(["raise"]) == 70
    said = capsys.readouterr().err
    line = "error: KeyError: 'mongodb://***@host ***'; this was not foreseen, see "
    assert said.startswith(line)
    assert said.count("\n") == 1
    log = Path(said.removeprefix(line).strip())
    assert log.parent == machine / "errors"
    assert log.stat().st_mode & 0o077 == 0
    text = log.read_text()
    assert text.startswith("hea-flows ")
    assert "Traceback (most recent call last)" in text
    assert "geheim" not in text.replace('"geheim1"', "")


def test_another_packages_value_error_was_not_foreseen(
    verb: list[Exception], machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine.parent / "file").touch()
    os.environ["HEA_FLOWS_DATA_DIR"] = str(machine.parent / "file" / "data")  # no place for a log
    verb.append(ValueError("shapes (3,) and (4,)"))
    assert main(["theirs"]) == 70
    said = capsys.readouterr().err
    assert said.startswith("error: ValueError: shapes (3,) and (4,); this was not foreseen, see ")
    log = Path(said.split()[-1])
    assert log.is_file()
    log.unlink()


@pytest.mark.parametrize("arguments", [["nope"], ["worker", "--poll", "x"], ["worker", "--nope"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_wrong_query(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--query", "[1]"]) == 1
    assert "error: the query is [1]; accepted is a JSON object" in capsys.readouterr().err


def test_start_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hea_flows.cli import main; code = main(['--help']);"
        "heavy = {'torch', 'jobflow', 'pymatgen', 'fireworks', 'ase', 'numpy', 'pymongo'};"
        "print('CODE', code, 'HEAVY', sorted(heavy & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.endswith("CODE 0 HEAVY []\n")
    assert "worker" in said


def test_database_verbs(
    machine: Path, mongo: LocalMongod, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "status"]) == 1
    assert "hea-flows db start" in capsys.readouterr().err
    try:
        assert main(["db", "start"]) == 0
        assert "mongod started: 127.0.0.1:" in capsys.readouterr().out
        assert main(["db", "start"]) == 0
        assert "mongod is already running" in capsys.readouterr().out
        assert main(["db", "status"]) == 0
        said = capsys.readouterr().out
        assert "(from: local)" in said
        pad = said.partition("lpad -l ")[2].split()[0]
        assert Path(pad).stat().st_mode & 0o077 == 0
        password = str(mongod.status(machine).password)
        assert main(["doctor"]) == 0
        assert password not in said + capsys.readouterr().out
    finally:
        assert main(["db", "stop"]) == 0
    assert capsys.readouterr().out == "mongod stopped\n"
    assert main(["db", "stop"]) == 0
    assert capsys.readouterr().out == "mongod was not running\n"


def test_worker_and_status(connection: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    import posixpath

    from jobflow import job
    from jobflow.managers.fireworks import flow_to_workflow

    connection.activate()
    launchpad = connection.launchpad()
    first = job(posixpath.basename)("/a/b")
    launchpad.add_wf(flow_to_workflow([first, job(posixpath.basename)(first.output)]))
    assert main(["status"]) == 0
    assert capsys.readouterr().out == "2 jobs: 1 WAITING, 1 READY\n"
    assert main(["worker", "--max-launches", "1"]) == 0
    assert capsys.readouterr().out.endswith("1 jobs run\n")
    assert main(["status", "1"]) == 0
    assert capsys.readouterr().out == "2 jobs: 1 READY, 1 COMPLETED\n"
    assert main(["status", "9"]) == 1
    assert "no workflow with the Firework 9" in capsys.readouterr().err
