from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hea_flows.settings import Settings, get_settings


def test_defaults_follow_the_data_folder(machine: Path) -> None:
    settings = get_settings()
    home = Path.home()
    assert settings.model_dump() == {
        "data_dir": machine,
        "mongod": None,
        "mongodb_uri": None,
        "database": "hea_flows",
        "local": False,
        "scratch_dir": machine / "scratch",
        "reconnect_seconds": 300.0,
        "models_dir": home / ".cache" / "hea-flows" / "models",
        "vasp_cell_tag": "LATTICE_CONSTRAINTS",
        "gpaw_command": None,
        "device": "cpu",
        "max_structures": 20_000,
        "max_set_seconds": 300.0,
        "max_sites": 20_000,
        "max_yaml_values": 20_000,
        "max_frames_mb": 2_000.0,
    }


def test_without_variables_the_folders_of_the_platform(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEA_FLOWS_DATA_DIR")
    assert get_settings().data_dir == Path.home() / ".local" / "share" / "hea-flows"
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert get_settings().data_dir == Path("/elsewhere/hea-flows")


def test_environment_wins_over_file(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path.home() / ".config" / "hea-flows" / "settings.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("device: cuda:1\ndatabase: theirs\nmodels_dir: ~/models\n")
    monkeypatch.setenv("HEA_FLOWS_DATABASE", "mine")
    settings = get_settings()
    assert settings.device == "cuda:1"
    assert settings.database == "mine"
    assert settings.models_dir == Path.home() / "models"
    assert settings.scratch_dir == machine / "scratch"


def test_unknown_key_of_the_file_is_an_error(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = machine.parent / "mine.yaml"
    file.write_text("devise: cpu\n")
    monkeypatch.setenv("HEA_FLOWS_SETTINGS_FILE", str(file))
    with pytest.raises(ValidationError, match="devise"):
        get_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device: cpu\ndevice: mps\n", "line 2: the key 'device' is given twice"),
        ("- device\n", "must hold keys such as data_dir"),
        ("1: cpu\n", "must hold keys such as data_dir"),
    ],
)
def test_a_file_that_says_two_things(
    machine: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    file = machine.parent / "mine.yaml"
    file.write_text(text)
    monkeypatch.setenv("HEA_FLOWS_SETTINGS_FILE", str(file))
    with pytest.raises(ValueError, match=message):
        get_settings()


def test_unknown_variable_is_an_error(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEA_FLOWS_DEBUG", "1")
    monkeypatch.setenv("HEA_FLOWS_CONNECTION_FILE", "x")
    get_settings()
    monkeypatch.setenv("HEA_FLOWS_DATABSE", "x")
    with pytest.raises(ValueError, match=r"HEA_FLOWS_DATABSE is not a setting.*HEA_FLOWS_DATABASE"):
        get_settings()


def test_missing_settings_file(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEA_FLOWS_SETTINGS_FILE", "/nowhere.yaml")
    with pytest.raises(FileNotFoundError, match=r"/nowhere\.yaml, which is not a file"):
        get_settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [("device", "gpu"), ("database", "a.b"), ("database", "")],
)
def test_values_that_are_not_accepted(machine: Path, key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        Settings(**{key: value})


def test_password_is_not_shown(machine: Path) -> None:
    settings = Settings(mongodb_uri="mongodb://me:geheim@host/")
    assert "geheim" not in f"{settings} {settings!r} {settings.model_dump_json()}"


def test_every_field_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
