from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jobflow
import pytest
import yaml
from jobflow.core.store import JobStore
from pydantic import SecretStr
from pymongo import MongoClient

from hea_flows.runtime import redact
from hea_flows.services import mongod
from hea_flows.services.connection import Connection, find_connection
from hea_flows.services.errors import DatabaseUnreachableError
from hea_flows.services.mongod import LocalMongod
from hea_flows.services.user_files import load_job_store

MEMORY = {"JOB_STORE": {"docs_store": {"type": "MemoryStore"}}}
MONGO = {"type": "MongoStore", "database": "mine", "collection_name": "docs", "port": 1}
GRID = {"type": "GridFSStore", "database": "mine", "collection_name": "blobs", "port": 1}
FORGETS = {"type": "S3Store", "bucket": "b", "index": {"type": "MemoryStore", "key": "fs_id"}}


def _with_data(data: dict[str, Any], **others: dict[str, Any]) -> dict[str, object]:
    """Return a jobflow.yaml with additional stores."""
    return {"JOB_STORE": {"docs_store": MONGO, "additional_stores": {"data": data, **others}}}


def _round_trip(store: JobStore) -> dict[str, object]:
    big = "x" * 17_000_000  # more than a MongoDB document may hold
    document = {"uuid": "u", "index": 1, "output": {"energy": -1.5, "trajectory": big}}
    store.connect()
    store.update(document, save={"data": "trajectory"})
    small = store.query_one({"uuid": "u"}, load=False)
    assert small["output"]["energy"] == -1.5
    assert set(small["output"]["trajectory"]) >= {"@module", "blob_uuid", "store"}
    found = store.query_one({"uuid": "u"}, load=True)
    assert found["output"]["trajectory"] == big
    return dict(small)


def test_job_store_keeps_a_field_larger_than_a_document(connection: Connection) -> None:
    _round_trip(connection.job_store())
    names = set(connection.database().list_collection_names())
    assert names == {"outputs", "outputs_blobs.files", "outputs_blobs.chunks"}


def test_an_activated_connection_is_this_process_and_its_children(connection: Connection) -> None:
    connection.activate()
    assert find_connection() == connection
    stored = jobflow.SETTINGS.JOB_STORE
    assert stored.docs_store.database == connection.database_name
    code = (
        "from jobflow import SETTINGS; from hea_flows.services import find_connection;"
        "s = SETTINGS.JOB_STORE; s.connect(); s.update({'uuid': 'child', 'index': 1});"
        "print(find_connection().database_name, sorted(s.additional_stores))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.split(None, 1) == [connection.database_name, "['data']\n"]
    assert connection.database().outputs.count_documents({"uuid": "child"}) == 1


def test_files_of_a_connection_are_private(connection: Connection, machine: Path) -> None:
    connection.environment()
    files = [path for path in (machine / "connections").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {
        "connection.json",
        "jobflow.yaml",
        "my_launchpad.yaml",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in [*files, connection.folder])


def test_written_files_are_what_jobflow_and_fireworks_read(connection: Connection) -> None:
    from fireworks import LaunchPad
    from jobflow.settings import JobflowSettings

    variables = connection.environment()
    _round_trip(JobflowSettings(CONFIG_FILE=variables["JOBFLOW_CONFIG_FILE"]).JOB_STORE)
    launchpad = LaunchPad.from_file(str(connection.folder / "my_launchpad.yaml"))
    connection.launchpad()
    assert launchpad.get_new_fw_id() == 1


def test_launchpad_is_initialised_once(connection: Connection) -> None:
    first = connection.launchpad()
    assert [first.get_new_fw_id(), first.get_new_launch_id()] == [1, 1]
    assert connection.launchpad().get_new_fw_id() == 2
    assert first.fw_id_assigner.count_documents({}) == 1
    indexed = {next(iter(i["key"])) for i in first.fireworks.index_information().values() if i}
    indexed = {i["key"][0][0] for i in first.fireworks.index_information().values()}
    assert {"fw_id", "state", "launches"} <= indexed


def test_the_job_store_is_indexed_once(connection: Connection) -> None:
    for _ in range(2):
        connection.ensure_indexes()
    database = connection.database()
    indexes = set(database["outputs"].index_information())
    assert indexes == {"_id_"} | {
        f"hea_flows_{name}"
        for name in ("job", "kind", "campaign", "structure", "formula", "identity", "failures")
    }
    assert "metadata.blob_uuid_1" in database["outputs_blobs.files"].index_information()


def test_who_may_only_read_does_without_indexes(connection: Connection, mongo: LocalMongod) -> None:
    database = connection.database()
    database["outputs"].insert_one({"uuid": "a"})
    roles = [{"role": "read", "db": database.name}]
    database.client.admin.command("createUser", "reader", pwd=mongo.password, roles=roles)
    uri = f"mongodb://reader:{mongo.password}@127.0.0.1:{mongo.port}/?authSource=admin"
    Connection("environment", database.name, SecretStr(uri)).ensure_indexes()
    database.client.admin.command("dropUser", "reader")
    assert set(database["outputs"].index_information()) == {"_id_"}


def test_no_text_form_has_the_password(connection: Connection, mongo: LocalMongod) -> None:
    assert mongo.password is not None
    shown = [connection, [connection], connection.launchpad(), connection.launchpad().to_db_dict]
    assert all(mongo.password not in f"{one} {one!r}" for one in shown)
    assert str(connection) == f"database {connection.database_name} on 127.0.0.1:{mongo.port}"


@pytest.mark.parametrize(
    "uri",
    ["mongodb://me:geheim@h:1/x", "mongodb+srv://me:gehe@geheim@h/", "mongodb://me:/geheim@h"],
)
def test_redaction(uri: str) -> None:
    redacted = redact(f"cannot reach {uri} now")
    assert "geheim" not in redacted
    assert redacted.startswith("cannot reach mongodb")
    assert redacted.endswith(" now")


def test_what_a_file_keeps_secret_is_told_nowhere(machine: Path) -> None:
    path = _write(
        machine / "jobflow.yaml",
        {"JOB_STORE": {"docs_store": {"type": "geheim", "database": "d", "password": "geheim"}}},
    )
    with pytest.raises(ValueError, match=r"jobflow\.yaml gives no job store") as caught:
        load_job_store(path)
    assert "geheim" not in str(caught.value)


def test_additional_stores_may_be_numbered(machine: Path) -> None:
    blobs = {"type": "GridFSStore", "database": "d", "collection_name": "b"}
    documents = {"type": "MongoStore", "database": "d", "collection_name": "o"}
    store = {"docs_store": documents, "additional_stores": {"data": blobs, 7: blobs}}
    path = _write(machine / "jobflow.yaml", {"JOB_STORE": store})
    assert set(load_job_store(path).additional_stores) == {"data", 7}


def test_a_wrong_password_is_refused_in_one_line(mongo: LocalMongod, machine: Path) -> None:
    uri = f"mongodb://hea_flows:geheim@127.0.0.1:{mongo.port}/?authSource=admin"
    wrong = Connection("environment", "x", SecretStr(uri))
    for ask in (wrong.ping, wrong.launchpad):
        with pytest.raises(DatabaseUnreachableError, match="Authentication failed") as caught:
            ask()
        assert "geheim" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_server_without_a_user_is_refused(mongo: LocalMongod, machine: Path) -> None:
    anonymous = SecretStr(f"mongodb://127.0.0.1:{mongo.port}/")
    with pytest.raises(DatabaseUnreachableError, match="requires authentication"):
        Connection("environment", "x", anonymous).ping()


def test_no_server(machine: Path) -> None:
    nobody = Connection("environment", "x", SecretStr("mongodb://me:geheim@127.0.0.1:1/"))
    with pytest.raises(DatabaseUnreachableError, match=r"127\.0\.0\.1:1 .*does not answer") as e:
        nobody.ping(timeout=0.3)
    assert "geheim" not in str(e.value)


def test_the_uri_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(Path.home() / ".jobflow.yaml", MEMORY)  # would be an error
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", "mongodb://me:geheim@host:5/")
    found = find_connection()
    assert (found.source, str(found)) == ("environment", "database hea_flows on host:5")
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", "mongodb://me:geheim@host:5/theirs?tls=true")
    assert find_connection().database_name == "theirs"
    monkeypatch.setenv("HEA_FLOWS_DATABASE", "mine")
    assert find_connection().database_name == "mine"


@pytest.mark.parametrize("uri", ["host:5", "mongodb://me:geheim@ho:st:5/", "mongodb://a:/geheim@h"])
def test_wrong_uri(machine: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", uri)
    with pytest.raises(ValueError, match="HEA_FLOWS_MONGODB_URI is not a MongoDB URI") as caught:
        find_connection()
    assert "geheim" not in str(caught.value)


def test_the_files_of_the_user(mongo: LocalMongod, machine: Path) -> None:
    login = {"host": "127.0.0.1", "port": mongo.port, "username": "hea_flows"}
    login["password"] = mongo.password
    server = {**login, "database": "test_user_files", "auth_source": "admin"}
    docs = {**server, "type": "MongoStore", "collection_name": "my_docs"}
    data = {**server, "type": "GridFSStore", "collection_name": "my_blobs"}
    store = {"docs_store": docs, "additional_stores": {"data": data}}
    mine = _write(Path.home() / ".jobflow.yaml", {"JOB_STORE": store})
    launchpad = {**login, "name": "test_user_launchpad", "authsource": "admin"}
    pad = _write(Path.home() / ".fireworks" / "my_launchpad.yaml", launchpad)

    found = find_connection()
    assert found == Connection(
        "jobflow.yaml + my_launchpad.yaml", "test_user_files", None, mine, pad
    )
    found.ping()
    _round_trip(found.job_store())
    assert found.database().my_docs.count_documents({}) == 1
    assert found.launchpad().get_new_fw_id() == 1
    found.activate()
    assert os.environ["JOBFLOW_CONFIG_FILE"] == str(mine)
    assert find_connection() == found
    texts = [path.read_text() for path in machine.rglob("*") if path.is_file()]
    assert texts
    assert not any(str(mongo.password) in text for text in texts)
    with MongoClient(mongo.uri) as client:
        for name in ("test_user_files", "test_user_launchpad"):
            client.drop_database(name)


@pytest.mark.parametrize(
    ("jobflow_yaml", "pad", "said"),
    [
        (MEMORY, {}, "is a MemoryStore; accepted is a MongoStore"),
        ({}, {}, "is a MemoryStore; accepted is a MongoStore"),
        ({"JOB_STORE": {"docs_store": MONGO}}, {}, "no additional store `data`"),
        ({"JOB_STORE": {"docs_store": {"type": "Nope"}}}, {}, "gives no job store"),
        (_with_data({"type": "MemoryStore"}), {}, "is a MemoryStore; accepted is a GridFSStore"),
        (
            _with_data({"type": "JSONStore", "paths": "x.json"}),
            {},
            "is a JSONStore; accepted is a GridFSStore",
        ),
        (_with_data(MONGO), {}, "is a MongoStore; accepted is a GridFSStore, or an S3Store whose"),
        (_with_data(FORGETS), {}, "is a S3Store with a MemoryStore as index; accepted"),
        (
            _with_data(GRID, other={"type": "MemoryStore"}),
            {},
            "is a MemoryStore; accepted is a GridFSStore",
        ),
        ({"JOB_STORE": {"docs_store": MONGO}}, None, "but no my_launchpad.yaml"),
        (None, {"host": "localhost", "name": "x"}, "but no jobflow.yaml"),
    ],
)
def test_incomplete_files_of_the_user(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    jobflow_yaml: dict[str, object] | None,
    pad: dict[str, object] | None,
    said: str,
) -> None:
    if jobflow_yaml is not None:
        _write(Path.home() / ".jobflow.yaml", jobflow_yaml)
    if pad is not None:
        _write(Path.home() / ".fireworks" / "my_launchpad.yaml", pad)
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        find_connection()
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("HEA_FLOWS_LOCAL", "1")
    with pytest.raises(DatabaseUnreachableError, match="hea-flows db start"):
        find_connection()


@pytest.mark.parametrize(
    ("data", "others"),
    [
        (GRID, {"small": MONGO}),
        ({**FORGETS, "index": {**MONGO, "key": "fs_id"}}, {"more": GRID}),
    ],
)
def test_stores_that_other_processes_can_read(
    machine: Path, data: dict[str, Any], others: dict[str, Any]
) -> None:
    path = _write(machine / "jobflow.yaml", _with_data(data, **others))
    store = load_job_store(path)
    assert type(store.additional_stores["data"]).__name__ == data["type"]


def test_fireworks_finds_the_same_launchpad_file(machine: Path) -> None:
    pad = _write(machine / "here" / "pad.yaml", {"host": "h"})
    _write(Path.home() / ".fireworks" / "FW_config.yaml", {"LAUNCHPAD_LOC": str(pad)})
    _write(Path.home() / ".fireworks" / "my_launchpad.yaml", {"host": "h"})
    other = _write(machine / "other" / "my_launchpad.yaml", {"host": "h"})
    config = _write(machine / "FW_config.yaml", {"CONFIG_FILE_DIR": str(other.parent)})
    code = (
        "from fireworks.fw_config import LAUNCHPAD_LOC as theirs;"
        "from hea_flows.services.user_files import find_launchpad_file;"
        "import os; ours = find_launchpad_file();"
        "print('RESULT', os.path.realpath(theirs), os.path.realpath(ours))"
    )
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    cases = [
        ({}, machine, config),
        ({"FW_CONFIG_FILE": str(config)}, Path.home(), None),
        ({}, Path.home(), None),
    ]
    found = []
    for variables, folder, _ in cases:
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **path, **variables},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        theirs, ours = said.partition("RESULT")[2].split()
        assert theirs == ours
        found.append(Path(ours).name)
    assert found == ["my_launchpad.yaml", "pad.yaml", "pad.yaml"]


def test_the_local_server_comes_last_and_is_started_if_asked(
    machine: Path, mongo: LocalMongod
) -> None:
    with pytest.raises(DatabaseUnreachableError, match="hea-flows db start"):
        find_connection()
    try:
        found = find_connection(start_local=True)
        assert found.source == "local"
        found.ping()
        found.activate()
        assert find_connection() == found
        # After a restart on another port the children still find it.
        mongod.stop(machine)
        state = machine / "mongod" / "state.json"
        state.write_text(json.dumps({"pid": None, "port": None}))
        assert find_connection(start_local=True).uri != found.uri
        find_connection().ping()
    finally:
        mongod.stop(machine)


def _write(path: Path, content: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path
