"""Facts of a machine: folders, commands, devices. Never science."""

from __future__ import annotations

import os
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from hea_flows.inputs import (
    MOST_SET_SECONDS,
    MOST_STRUCTURES,
    MOST_VALUES,
    VARIABLE_PREFIX,
    read_yaml,
)

PREFIX = VARIABLE_PREFIX
#: Variables with the prefix that are read elsewhere and are not settings.
OTHER_VARIABLES = frozenset(
    {PREFIX + name for name in ("SETTINGS_FILE", "DEBUG", "CONNECTION_FILE", "ATTEMPT")}
)


def _xdg(variable: str, fallback: str) -> Path:
    given = os.environ.get(variable, "")
    base = Path(given) if given.startswith("/") else Path.home() / fallback
    return base / "hea-flows"


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


Folder = Annotated[Path, AfterValidator(_absolute)]


def settings_file() -> Path:
    """Return the path of the settings file, which need not exist unless it is given.

    Raises
    ------
    FileNotFoundError
        If HEA_FLOWS_SETTINGS_FILE names no file.
    """
    given = os.environ.get(PREFIX + "SETTINGS_FILE")
    if not given:
        return _xdg("XDG_CONFIG_HOME", ".config") / "settings.yaml"
    path = Path(given).expanduser()
    if not path.is_file():
        msg = f"{PREFIX}SETTINGS_FILE is {given}, which is not a file; create it or unset it"
        raise FileNotFoundError(msg)
    return path


class _SettingsFile(YamlConfigSettingsSource):
    """A settings file, each key once."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, object]:
        content, _ = read_yaml(Path(str(file_path)))
        content = {} if content is None else content
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            msg = f"{file_path} must hold keys such as data_dir, each with its value"
            raise ValueError(msg)
        return content


class Settings(BaseSettings):
    """What hea-flows must know about the machine it runs on.

    Each field is read from an environment variable (HEA_FLOWS_ and the field's name in capitals),
    else from the YAML file ~/.config/hea-flows/settings.yaml or HEA_FLOWS_SETTINGS_FILE, else it
    takes its default. Unknown keys are errors.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    data_dir: Folder = Field(
        default_factory=lambda: _xdg("XDG_DATA_HOME", ".local/share"),
        description="Folder of the local mongod, the launch folders and the logs of the workers.",
    )
    mongod: Folder | None = Field(
        None,
        description="The mongod program; else the one on PATH, else the one of hea-flows[local].",
    )
    mongodb_uri: SecretStr | None = Field(
        None,
        description="URI of a MongoDB server to use, mongodb://user:password@host:port/?options.",
    )
    database: str = Field(
        "hea_flows",
        min_length=1,
        max_length=63,
        pattern=r'^[^/\\. "$*<>:|?\x00]+$',
        description="Database on that server or on the local mongod.",
    )
    local: bool = Field(
        default=False,
        description="Use the local mongod even where a jobflow.yaml and a launchpad file exist.",
    )
    scratch_dir: Folder = Field(
        default_factory=lambda data: data["data_dir"] / "scratch",
        description="Folder in which reference engines keep unfinished relaxations.",
    )
    reconnect_seconds: float = Field(
        300.0,
        ge=0,
        description="Seconds that a worker waits for a database that stopped answering.",
    )
    models_dir: Folder = Field(
        default_factory=lambda: _xdg("XDG_CACHE_HOME", ".cache") / "models",
        description="Folder that caches checkpoints of potentials.",
    )
    vasp_cell_tag: Literal["LATTICE_CONSTRAINTS", "IOPTCELL"] = Field(
        "LATTICE_CONSTRAINTS",
        description="How this VASP keeps c: its own tag since 6.4, or the IOPTCELL patch.",
    )
    gpaw_command: str | None = Field(
        None,
        min_length=1,
        description="Runs Python for GPAW, e.g. mpiexec -n 4 gpaw python; else the worker itself.",
    )
    device: str = Field(
        "cpu",
        pattern=r"^(cpu|mps|cuda(:\d+)?)$",
        description="Device of the potentials: cpu, cuda, cuda:1, mps.",
    )
    max_structures: int = Field(
        MOST_STRUCTURES, ge=1, description="Structures of a set; each one is a label to compute."
    )
    max_set_seconds: float = Field(
        MOST_SET_SECONDS, gt=0, description="Time to build the sets of a campaign on one core (s)."
    )
    max_sites: int = Field(
        20_000, ge=1, description="Alloyed sites of a supercell for Monte Carlo or random cells."
    )
    max_yaml_values: int = Field(
        MOST_VALUES, ge=1, description="Values of a campaign file, those of aliases each time."
    )
    max_frames_mb: float = Field(
        2_000.0,
        gt=0,
        description="Size of a file of frames, decompressed (MB); a frame counts 4 kB or more.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment, then the YAML file."""
        file = _SettingsFile(settings_cls, yaml_file=settings_file())
        return init_settings, env_settings, file


def get_settings() -> Settings:
    """Return the settings as the environment and the file give them now.

    Raises
    ------
    ValueError
        If a value is not accepted, or a key of the file or a HEA_FLOWS_ variable is unknown.
    FileNotFoundError
        If HEA_FLOWS_SETTINGS_FILE names no file.
    """
    names = {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in names | OTHER_VARIABLES:
            accepted = ", ".join(sorted(names))
            msg = f"{variable} is not a setting of hea-flows; accepted are {accepted}"
            raise ValueError(msg)
    return Settings()
