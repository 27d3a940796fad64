from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest
from vasp_standin import environment

from hea_flows.services import doctor
from hea_flows.services.connection import Connection
from hea_flows.services.doctor import Check, check_all
from hea_flows.services.mongod import LocalMongod


def _by_name() -> dict[str, Check]:
    checks = check_all()
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def test_a_machine_with_a_database(
    connection: Connection, machine: Path, mongo: LocalMongod
) -> None:
    connection.activate()
    found = _by_name()
    assert found["Python"].state == "ok"
    assert found["database"] == Check("database", "ok", f"{connection} (environment)")
    assert found["launchpad"] == Check("launchpad", "ok", "0 jobs")
    assert found["job store"] == Check("job store", "ok", "additional stores: data")
    assert found["data folder"].detail == str(machine)
    assert found["chgnet"].detail in {version("chgnet"), "not installed (optional)"}
    assert not any(str(mongo.password) in str(check) for check in found.values())


def test_nothing_is_there(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", missing)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "find_mongod", lambda: None)
    monkeypatch.delenv("GPAW_SETUP_PATH", raising=False)
    found = _by_name()
    assert "hea-flows db start" in found["database"].detail
    assert {name for name, check in found.items() if check.state == "missing"} == {"database"}
    optional = {"mace", "chgnet", "mattersim", "e3nn", "nequip", "gpaw"}
    assert {name for name, check in found.items() if check.state == "warn"} == {
        *optional,
        "torch",
        "mongod program",
        "VASP",
        "POTCARs",
        "gpaw setups",
    }
    assert all(found[name].action for name in optional)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pymatgen knows no synthetic POTCAR
def test_vasp_its_potcars_and_its_inputs(machine: Path, tmp_path: Path) -> None:
    found = _by_name()
    assert found["VASP"].state == "warn"
    assert "VASP_CMD" in found["VASP"].action
    missing = "not found: Mo_pv, Ta_pv, Nb_pv, W_pv, V_pv, S (optional)"
    assert found["POTCARs"].detail == missing
    with environment.in_process(tmp_path / "vasp") as variables:
        found = _by_name()
    assert found["VASP"] == Check("VASP", "ok", variables["ATOMATE2_VASP_CMD"])
    assert found["POTCARs"].state == "ok"
    said = "Materials Project's validation has no objection"
    assert found["VASP inputs"] == Check("VASP inputs", "ok", said)


def test_a_wrong_password_is_a_finding(
    machine: Path, mongo: LocalMongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"mongodb://hea_flows:geheim@127.0.0.1:{mongo.port}/?authSource=admin"
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", uri)
    found = _by_name()
    assert found["database"].state == "missing"
    assert "Authentication failed" in found["database"].detail
    assert not any("geheim" in str(check) for check in found.values())


def test_wrong_settings_are_a_finding(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEA_FLOWS_DEVICE", "gpu")
    found = _by_name()
    assert found["settings"].state == "missing"
    assert "device" in found["settings"].detail
    assert "database" not in found


def test_a_device_that_torch_cannot_use(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: "2.13.0+cpu")
    assert doctor._torch("cuda:1").state == "missing"
    assert doctor._torch("cpu") == Check("torch", "ok", "2.13.0+cpu, CPU build, device cpu")
    monkeypatch.setattr(doctor, "version", lambda name: "2.13.0+cu128")
    assert doctor._torch("cuda:1").state == "ok"


def test_readable_credentials_and_a_missing_fireworks_file(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = machine / "mongod" / "credentials.json"
    secret.parent.mkdir(parents=True)
    secret.write_text("{}")
    secret.chmod(0o644)
    monkeypatch.setenv("FW_CONFIG_FILE", os.devnull + "x")
    found = _by_name()
    assert found["data folder"].action == f"chmod 600 {secret}"
    assert found["FireWorks configuration"].state == "warn"
