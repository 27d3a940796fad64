"""The user's jobflow.yaml and my_launchpad.yaml, if their database is configured already."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hea_flows.runtime import read_text, redact
from hea_flows.settings import PREFIX

if TYPE_CHECKING:
    from jobflow.core.store import JobStore

_INSTEAD = f"or set {PREFIX}LOCAL=1 (the local mongod) or {PREFIX}MONGODB_URI"


def find_user_files(ours: Path) -> tuple[Path, Path] | None:
    """Return the user's jobflow.yaml and launchpad file, or None if there is neither.

    Parameters
    ----------
    ours
        Folder of files that this package wrote; they are not the user's.

    Raises
    ------
    ValueError, FileNotFoundError
        If only one of them exists, or a variable names a file that does not exist.
    """
    given = os.environ.get("JOBFLOW_CONFIG_FILE")
    jobflow_file = Path(given or "~/.jobflow.yaml").expanduser().absolute()
    if given and not jobflow_file.is_file():
        msg = f"JOBFLOW_CONFIG_FILE is {given}, which is not a file; create it, {_INSTEAD}"
        raise FileNotFoundError(msg)
    launchpad_file = find_launchpad_file()
    if launchpad_file is not None and not launchpad_file.is_file():
        msg = f"FireWorks' LAUNCHPAD_LOC is {launchpad_file}, which is not a file; create it, "
        raise FileNotFoundError(msg + _INSTEAD)
    if ours in jobflow_file.parents or not jobflow_file.is_file():
        if launchpad_file is None:
            return None
        msg = f"FireWorks' {launchpad_file} is given but no jobflow.yaml; give its path in "
        raise ValueError(msg + f"JOBFLOW_CONFIG_FILE, {_INSTEAD}")
    if launchpad_file is None:
        msg = f"{jobflow_file} is given but no my_launchpad.yaml; put it into ~/.fireworks, "
        raise ValueError(msg + _INSTEAD)
    return jobflow_file, launchpad_file


def load_job_store(path: Path) -> JobStore:
    """Return the job store of a user's jobflow.yaml, whose parts other processes must find again.

    Raises
    ------
    ValueError
        If it is not a MongoStore, has no additional store `data` for objects of any size, or an
        additional store of it forgets.
    """
    try:
        from jobflow.settings import JobflowSettings

        store: Any = JobflowSettings(CONFIG_FILE=str(path)).JOB_STORE
    except Exception as error:  # noqa: BLE001  # YAML, pydantic and unknown stores raise different errors
        content: dict[str, Any] = {}
        with suppress(ValueError, OSError):
            content = _mapping(path)
        # Of a file, the message of the system without its name: anything may stand there.
        said = (isinstance(error, OSError) and error.strerror) or redact(str(error), also=content)
        reason = said.strip().splitlines() or [type(error).__name__]
        msg = f"{path} gives no job store ({reason[0]}); correct it, {_INSTEAD}"
        raise ValueError(msg) from None
    if not _is_shared(store.docs_store):
        msg = (
            f"the job store of {path} is a {_name(store.docs_store)}; accepted is a MongoStore, "
            f"which other processes can read; correct it, {_INSTEAD}"
        )
        raise ValueError(msg)
    if "data" not in store.additional_stores:
        msg = f"the job store of {path} has no additional store `data` for big fields; add a "
        raise ValueError(msg + f"GridFSStore under additional_stores: data, {_INSTEAD}")
    for name, additional in sorted(store.additional_stores.items(), key=str):
        # Other packages may keep small things in stores of their own.
        if _is_unlimited(additional) or (name != "data" and _is_shared(additional)):
            continue
        msg = (
            f"the additional store `{name}` of {path} is a {_name(additional)}; accepted is a "
            "GridFSStore, or an S3Store whose index is a MongoStore: other processes must read it, "
            f"and a field may be larger than MongoDB's 16 MB; correct it, {_INSTEAD}"
        )
        raise ValueError(msg)
    job_store: JobStore = store
    return job_store


def _is_shared(store: object) -> bool:
    """Return whether other processes find in a store what was put into it."""
    from maggma.stores import MemoryStore, MongoStore

    return isinstance(store, MongoStore) and not isinstance(store, MemoryStore)


def _is_unlimited(store: object) -> bool:
    """Return whether a store is shared and takes objects of more than MongoDB's 16 MB."""
    from maggma.stores import GridFSStore, S3Store

    return isinstance(store, GridFSStore) or (
        isinstance(store, S3Store) and _is_shared(store.index)
    )


def _name(store: object) -> str:
    """Return the class of a store, and that of its index."""
    index = f" with a {type(store.index).__name__} as index" if hasattr(store, "index") else ""
    return type(store).__name__ + index


def find_launchpad_file() -> Path | None:
    """Return the launchpad file that FireWorks uses: from its configuration, then known folders.

    FireWorks looks once, when it is imported; this looks now, by the rules of
    `fireworks.fw_config` 2.1.
    """
    folders = [Path.cwd(), Path.home() / ".fireworks"]
    configs = [folder / "FW_config.yaml" for folder in folders]
    if given := os.environ.get("FW_CONFIG_FILE"):
        configs.append(Path(given))
    config = next((_mapping(path) for path in configs if path.is_file()), {})
    if location := config.get("LAUNCHPAD_LOC"):
        return Path(location)
    if "CONFIG_FILE_DIR" in config:
        folders.insert(0, Path(config["CONFIG_FILE_DIR"]))
    candidates = (folder / "my_launchpad.yaml" for folder in folders)
    return next((path.absolute() for path in candidates if path.is_file()), None)


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError):
        msg = f"{path} is not valid YAML; correct it"
        raise ValueError(msg) from None
    return content if isinstance(content, dict) else {}
