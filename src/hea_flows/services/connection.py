"""The MongoDB that a process uses, with its job store and launchpad."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pymongo
from pydantic import SecretStr
from pymongo.database import Database
from pymongo.errors import InvalidURI, OperationFailure, PyMongoError

from hea_flows.runtime import atomic_write, redact
from hea_flows.services import mongod
from hea_flows.services.errors import DatabaseUnreachableError
from hea_flows.services.user_files import find_user_files, load_job_store
from hea_flows.settings import PREFIX, Settings, get_settings

if TYPE_CHECKING:
    from fireworks import LaunchPad
    from jobflow.core.store import JobStore

Source = Literal["environment", "jobflow.yaml + my_launchpad.yaml", "local"]

CONNECTION_FILE = PREFIX + "CONNECTION_FILE"
OUTPUTS = "outputs"
BLOBS = "outputs_blobs"
PING_SECONDS = 5.0
_UNAUTHORISED = 13
#: Fields of the index of each question to the job store; the first fields are given, the next one
#: sorts, and with the last ones the index is all that is read.
_QUESTIONS = {
    "job": ("uuid", "index"),
    "kind": ("output.kind", "output.created_at", "uuid", "index"),
    "campaign": ("output.kind", "output.campaign", "output.created_at", "uuid", "index"),
    "structure": ("output.kind", "output.structure.structure_id"),
    "formula": ("output.kind", "output.structure.formula"),
}
#: The same for fields that few outputs have.
_RARE = {"identity": ("output.identity",), "failures": ("output.workflow",)}


@dataclass(frozen=True)
class Connection:
    """A MongoDB database that holds the job store and the launchpad.

    Parameters
    ----------
    source
        The rule that gave it; see `find_connection`.
    database_name
        Name of the database; with the user's own files, of the job store's.
    uri
        URI, password included, never shown; None with the user's own files.
    jobflow_file, launchpad_file
        The user's own files, or None.
    """

    source: Source
    database_name: str
    uri: SecretStr | None = None
    jobflow_file: Path | None = None
    launchpad_file: Path | None = None

    def __str__(self) -> str:
        """Name the server and the database, without the password."""
        if self.uri is None:
            return f"{self.jobflow_file} and {self.launchpad_file}"
        server = redact(self.uri.get_secret_value()).partition("?")[0].rpartition("://")[2]
        return f"database {self.database_name} on {server.removeprefix('***@').partition('/')[0]}"

    def job_store(self) -> JobStore:
        """Return the job store: documents in `outputs`, big fields in the GridFS store `data`."""
        from jobflow.core.store import JobStore
        from maggma.stores import GridFSStore, MongoStore

        if self.uri is None:
            return load_job_store(_required(self.jobflow_file))
        uri = self.uri.get_secret_value()
        return JobStore(
            MongoStore(self.database_name, OUTPUTS, uri=uri),
            additional_stores={"data": GridFSStore(self.database_name, BLOBS, uri=uri)},
        )

    def open_store(self) -> JobStore:
        """Return the job store, connected.

        Raises
        ------
        DatabaseUnreachableError
            If it does not answer.
        ValueError
            If the user's own files describe one that cannot be connected to.
        """
        store = self.job_store()
        with self._errors():
            store.connect()
        return store

    def launchpad(self) -> LaunchPad:
        """Return FireWorks' launchpad; a new database is initialised.

        Raises
        ------
        DatabaseUnreachableError
            If the database does not answer.
        """
        from hea_flows.services.launchpad import load_launchpad, open_launchpad

        with self._errors():
            if self.uri is None:
                return load_launchpad(_required(self.launchpad_file), os.getpid())
            uri = self.uri.get_secret_value()
            return open_launchpad(uri, self.database_name, os.getpid())

    def database(self) -> Database[dict[str, Any]]:
        """Return the database of the job store."""
        if self.uri is not None:
            with self._errors():
                return _client(self.uri.get_secret_value(), os.getpid())[self.database_name]
        with self._errors():
            return _database(_required(self.jobflow_file), os.getpid())

    def ping(self, timeout: float = PING_SECONDS) -> None:
        """Check that the database answers.

        Parameters
        ----------
        timeout
            Seconds to wait.

        Raises
        ------
        DatabaseUnreachableError
            If it does not answer, or refuses the user.
        """
        with self._errors(), pymongo.timeout(timeout):
            self.database()[OUTPUTS].find_one({}, {"_id": 1})
            if self.uri is None:
                self.open_store().close()  # a store of big fields may be on another server
                self.launchpad()

    def ensure_indexes(self) -> None:
        """Index the job store by what jobs and queries look up; those there are stay.

        jobflow does not, and reads every output to find one, several times per job. A user who may
        read only does without.
        """
        with self._errors(), self.job_store() as store:
            try:
                store.docs_store._collection.create_indexes(_indexes())  # noqa: SLF001
                store.additional_stores["data"].ensure_index("blob_uuid")
            except OperationFailure as error:
                if error.code != _UNAUTHORISED:
                    raise

    def activate(self) -> None:
        """Use it in this process and in the processes that this one starts.

        Fireworks hold no job store, because a store has a password: their jobs take it from
        JOBFLOW_CONFIG_FILE, which is set to a file that only its owner can read.
        """
        os.environ.update(self.environment())
        os.environ.pop("JOBFLOW_JOB_STORE", None)  # would override the file
        if "jobflow" in sys.modules:
            import jobflow

            jobflow.SETTINGS.JOB_STORE = self.job_store()

    def environment(self) -> dict[str, str]:
        """Write the files that other processes need; return the variables that name them."""
        folder = self.folder
        content: dict[str, Any] = {"source": self.source, "database_name": self.database_name}
        if self.uri is None:
            jobflow_file = _required(self.jobflow_file)
            content["jobflow_file"] = str(jobflow_file)
            content["launchpad_file"] = str(self.launchpad_file)
        else:
            uri = content["uri"] = self.uri.get_secret_value()
            jobflow_file = folder / "jobflow.yaml"
            server = {"database": self.database_name, "uri": uri}
            docs = {"type": "MongoStore", "collection_name": OUTPUTS, **server}
            data = {"type": "GridFSStore", "collection_name": BLOBS, **server}
            store = {"docs_store": docs, "additional_stores": {"data": data}}
            launchpad = {"host": uri, "name": self.database_name, "uri_mode": True}
            # JSON is YAML.
            atomic_write(jobflow_file, json.dumps({"JOB_STORE": store}), private=True)
            atomic_write(folder / "my_launchpad.yaml", json.dumps(launchpad), private=True)
        atomic_write(folder / "connection.json", json.dumps(content), private=True)
        return {
            "JOBFLOW_CONFIG_FILE": str(jobflow_file),
            CONNECTION_FILE: str(folder / "connection.json"),
        }

    @property
    def folder(self) -> Path:
        """Folder of the files that `environment` writes; one per database."""
        server = self.source if self.source == "local" else str(self)
        digest = hashlib.sha256(f"{server}\n{self.database_name}".encode()).hexdigest()
        return _folder(get_settings()) / digest[:12]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn pymongo's errors into one line without a password."""
        try:
            yield
        except InvalidURI:
            raise ValueError(_BAD_URI) from None
        except OperationFailure as error:
            reason = (error.details or {}).get("errmsg", "the operation failed")
            msg = f"{self} ({self.source}) refuses: {redact(str(reason))}"
            raise DatabaseUnreachableError(msg) from None
        except PyMongoError as error:
            kind = type(error).__name__
            msg = f"{self} ({self.source}) does not answer ({kind}); is the server running?"
            raise DatabaseUnreachableError(msg) from None
        except (ValueError, DatabaseUnreachableError):
            raise
        except Exception as error:
            if self.uri is not None:
                raise
            # What stores and FireWorks make of a port in quotes, a tunnel that is gone or missing
            # credentials has no common class.
            reason = " ".join(redact(str(error)).split()) or "no reason given"
            msg = f"{self} cannot be connected to ({type(error).__name__}: {reason}); correct them"
            raise ValueError(msg) from None


def _indexes() -> list[pymongo.IndexModel]:
    return [
        pymongo.IndexModel([(field, 1) for field in fields], name=f"hea_flows_{name}", sparse=rare)
        for rare, questions in ((False, _QUESTIONS), (True, _RARE))
        for name, fields in questions.items()
    ]


@cache
def _client(uri: str, pid: int) -> pymongo.MongoClient[dict[str, Any]]:  # noqa: ARG001
    """Return the client of a process for a server; a fork must not use its parent's."""
    # After a refused login the driver ignores the server until its next heartbeat. With frequent
    # ones, a retry within the time of a ping reaches the server and says why it was refused.
    return pymongo.MongoClient(uri, heartbeatFrequencyMS=500)


@cache
def _database(jobflow_file: Path, pid: int) -> Database[dict[str, Any]]:  # noqa: ARG001
    """Return the database of the user's job store; one connection per process."""
    docs: Any = load_job_store(jobflow_file).docs_store
    docs.connect()
    database: Database[dict[str, Any]] = docs._collection.database  # noqa: SLF001
    return database


_BAD_URI = (
    f"{PREFIX}MONGODB_URI is not a MongoDB URI; accepted is mongodb://user:password@host:port/, "
    "special characters of user and password percent-encoded"
)


def find_connection(*, start_local: bool = False) -> Connection:
    """Return the connection of this process, by the first of these rules that gives one.

    0. the connection that this process or its parent activated;
    1. the URI HEA_FLOWS_MONGODB_URI (or the setting mongodb_uri);
    2. the user's jobflow.yaml (JOBFLOW_CONFIG_FILE or ~/.jobflow.yaml) with the launchpad file that
       FireWorks finds;
    3. the local mongod.

    Parameters
    ----------
    start_local
        Start the local mongod if rule 3 applies and it does not run.

    Raises
    ------
    ValueError, FileNotFoundError
        If a rule applies but what it names is incomplete.
    DatabaseUnreachableError
        If rule 3 applies and the local mongod does not run.
    """
    settings = get_settings()
    if path := os.environ.get(CONNECTION_FILE):
        connection = _activated(Path(path))
        if connection.source != "local":
            return connection
        return _local(settings, connection.database_name, start=start_local)
    if settings.mongodb_uri is not None:
        return _from_uri(settings, settings.mongodb_uri)
    if not settings.local and (files := find_user_files(_folder(settings))):
        jobflow_file, launchpad_file = files
        store: Any = load_job_store(jobflow_file)
        name = str(store.docs_store.database)
        source: Source = "jobflow.yaml + my_launchpad.yaml"
        return Connection(source, name, None, jobflow_file, launchpad_file)
    return _local(settings, settings.database, start=start_local)


def _activated(path: Path) -> Connection:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        msg = f"{CONNECTION_FILE} is {path}, which is not a file; unset the variable"
        raise FileNotFoundError(msg) from None
    for key in ("jobflow_file", "launchpad_file"):
        if key in content:
            content[key] = Path(content[key])
    if "uri" in content:
        content["uri"] = SecretStr(content["uri"])
    return Connection(**content)


def _from_uri(settings: Settings, uri: SecretStr) -> Connection:
    text = uri.get_secret_value()
    if not re.match(r"mongodb(\+srv)?://", text):
        raise ValueError(_BAD_URI)
    name = settings.database
    try:
        # A +srv URI gives its servers and options only while connecting.
        parsed = {} if "+srv" in text else pymongo.uri_parser.parse_uri(text)
    except (InvalidURI, ValueError):
        raise ValueError(_BAD_URI) from None
    if "database" not in settings.model_fields_set and parsed.get("database"):
        name = str(parsed["database"])
    return Connection("environment", name, uri)


def _local(settings: Settings, database: str, *, start: bool) -> Connection:
    state = mongod.start(settings.data_dir) if start else mongod.status(settings.data_dir)
    if not state.running:
        msg = (
            f"no {PREFIX}MONGODB_URI and no jobflow.yaml with a launchpad file is given, and the "
            f"local mongod of {settings.data_dir} does not run; start it with `hea-flows db start`"
        )
        raise DatabaseUnreachableError(msg)
    return Connection("local", database, SecretStr(state.uri))


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "connections"


def _required(path: Path | None) -> Path:
    if path is None:
        msg = "a connection without a URI needs jobflow_file and launchpad_file"
        raise ValueError(msg)
    return path
