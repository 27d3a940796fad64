from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from hea_flows.services import mongod, mongod_program
from hea_flows.services.errors import MongodError
from hea_flows.services.mongod import LocalMongod
from hea_flows.services.processes import is_alive


@pytest.fixture
def data_dir(tmp_path: Path, mongo: LocalMongod) -> Iterator[Path]:
    yield tmp_path / "my data"
    mongod.stop(tmp_path / "my data")


def _write_one(state: LocalMongod) -> None:
    with MongoClient(state.uri) as client:
        client.things.things.insert_one({"_id": 1})


def _count(state: LocalMongod) -> int:
    with MongoClient(state.uri) as client:
        return client.things.things.count_documents({})


def test_it_asks_for_the_password_and_listens_here_only(mongo: LocalMongod) -> None:
    with (
        MongoClient(f"mongodb://127.0.0.1:{mongo.port}") as client,
        pytest.raises(OperationFailure, match="requires authentication"),
    ):
        client.admin.command("listDatabases")
    with MongoClient(mongo.uri) as client:
        options = client.admin.command("getCmdLineOpts")["parsed"]
    assert options["net"]["bindIp"] == "127.0.0.1"
    assert options["net"]["unixDomainSocket"] == {"enabled": False}
    assert options["security"] == {"authorization": "enabled"}


def test_only_the_owner_reads_what_is_secret(mongo: LocalMongod) -> None:
    assert mongo.folder.stat().st_mode & 0o777 == 0o700
    for name in ("credentials.json", "state.json", "mongod.log"):
        assert (mongo.folder / name).stat().st_mode & 0o077 == 0
    assert mongo.password is not None
    assert len(mongo.password) >= 32
    assert mongo.password not in repr(mongo)
    assert mongo.password.encode() not in Path(f"/proc/{mongo.pid}/cmdline").read_bytes()


def test_data_survives_a_stop_and_a_kill(data_dir: Path) -> None:
    first = mongod.start(data_dir)
    _write_one(first)
    assert mongod.start(data_dir) == first
    assert mongod.status(data_dir) == first
    assert mongod.stop(data_dir)
    assert not mongod.stop(data_dir)
    assert not mongod.status(data_dir).running
    assert first.pid is not None
    assert not is_alive(first.pid)

    second = mongod.start(data_dir)
    assert second.pid is not None
    assert (second.port, second.password) == (first.port, first.password)
    assert _count(second) == 1

    os.kill(second.pid, signal.SIGKILL)
    while is_alive(second.pid):
        time.sleep(0.01)
    assert not mongod.status(data_dir).running
    third = mongod.start(data_dir)
    assert third.pid != second.pid
    assert _count(third) == 1


def test_a_taken_port_and_a_reused_pid(data_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        folder = data_dir / "mongod"
        folder.mkdir(parents=True)
        # This test's process is alive, but it is no mongod of this folder.
        (folder / "state.json").write_text(json.dumps({"pid": os.getpid(), "port": taken}))
        assert not mongod.status(data_dir).running
        state = mongod.start(data_dir)
        assert state.port != taken
        assert mongod.status(data_dir).port == state.port


def test_starts_at_the_same_time_give_one_server(data_dir: Path) -> None:
    code = (
        "from pathlib import Path; from hea_flows.services import mongod;"
        f"print(mongod.start(Path({str(data_dir)!r})).pid)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    starts = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        for _ in range(3)
    ]
    pids = {start.communicate(timeout=60)[0].strip() for start in starts}
    # Their parents are gone, the server is not.
    assert pids == {str(mongod.status(data_dir).pid)}


def test_a_lost_password_is_said(data_dir: Path) -> None:
    mongod.start(data_dir)
    mongod.stop(data_dir)
    (data_dir / "mongod" / "credentials.json").unlink()
    with pytest.raises(MongodError, match=r"another password than .*credentials\.json"):
        mongod.start(data_dir)


def test_user_that_a_crash_left_out_is_made_up_for(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mongod, "_ensure_user", lambda *_: None)
        mongod.start(data_dir)
    _write_one(mongod.start(data_dir))


def test_server_of_another_host_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mongod"
    folder.mkdir()
    state = {"pid": 1, "port": 27017, "host": "elsewhere", "boot": "another"}
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(MongodError, match=r"was started on elsewhere, this is .*state\.json"):
        mongod.start(tmp_path)


def test_no_program(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(mongod_program, "find_spec", lambda name: None)
    with pytest.raises(MongodError, match=r"hea-flows\[local\].*HEA_FLOWS_MONGODB_URI"):
        mongod.start(machine)
    monkeypatch.setenv("HEA_FLOWS_MONGOD", "/nowhere/mongod")
    with pytest.raises(FileNotFoundError, match="/nowhere/mongod, which is not a program"):
        mongod.start(machine)


def test_order_of_programs(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = {}
    for name in ("given", "path", "wheel"):
        folder = machine / name / ("db/bin" if name == "wheel" else "")
        folder.mkdir(parents=True)
        programs[name] = folder / "mongod"
        programs[name].write_text("#!/bin/sh\nexit 3\n")
        programs[name].chmod(0o755)

    class Wheel:
        submodule_search_locations = (str(machine / "wheel"),)

    monkeypatch.setattr(mongod_program, "find_spec", lambda name: Wheel)
    monkeypatch.setenv("PATH", "")
    assert mongod_program.find_mongod() == programs["wheel"]
    monkeypatch.setenv("PATH", str(machine / "path"))
    assert mongod_program.find_mongod() == programs["path"]
    monkeypatch.setenv("HEA_FLOWS_MONGOD", str(programs["given"]))
    assert mongod_program.find_mongod() == programs["given"]
    with pytest.raises(MongodError, match=r"did not start \(exit code 3\)"):
        mongod.start(machine)


def test_what_mongod_says_is_passed_on(data_dir: Path) -> None:
    state = mongod.start(data_dir)
    state_file = data_dir / "mongod" / "state.json"
    kept = state_file.read_text()
    state_file.unlink()  # the server runs on, unknown
    with pytest.raises(MongodError, match=r"exit code 100\): .*DBPathInUse.*mongod\.log"):
        mongod.start(data_dir)
    state_file.write_text(kept)
    assert mongod.status(data_dir).pid == state.pid


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(MongodError, match=r"cannot be written .*HEA_FLOWS_DATA_DIR"):
        mongod.start(tmp_path)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mongod").write_text("")
    with pytest.raises(MongodError, match="cannot be written"):
        mongod.start(tmp_path)
