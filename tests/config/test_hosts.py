"""Hosts in campaign files: from a file, and lattice constants that labels tell."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from own_hosts import carbide
from pydantic import ValidationError

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.config import campaign_sha256, read_campaign
from hea_flows.config.errors import validation_line
from hea_flows.provenance import settings_id
from hea_flows.runtime.extxyz import frames_content
from hea_flows.schemas import AlloySpec, StructureEntry

HOST = "prototype: {file: host.cif, alloyed: [Ti]}"


def campaign(folder: Path, alloy: str, rest: str = "") -> Path:
    path = folder / "campaign.yaml"
    path.write_text(
        f"name: a\nalloy: {{elements: [Ti, Zr], {alloy}}}\nstructures: [{{set: 1(2)}}]\n{rest}"
    )
    return path


def test_the_content_of_the_file_travels(tmp_path: Path) -> None:
    """The path is relative to the campaign file, and the file is read once."""
    bulk("Ti", "hcp", a=2.95, c=4.68).write(tmp_path / "host.cif")
    read, _ = read_campaign(campaign(tmp_path, HOST))
    (tmp_path / "host.cif").unlink()
    alloy = read.alloy.to_alloy()
    assert alloy.lattice_constant("Ti") == pytest.approx(2.95)
    assert alloy.lattice_constant("Zr") == pytest.approx(3.23, abs=0.01)
    stored = AlloySpec.model_validate_json(read.alloy.model_dump_json())
    assert stored == read.alloy
    assert AlloySpec.from_dict(read.alloy.as_dict()) == read.alloy
    ordering = Ordering(alloy, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Ti", "Ti", "Zr", "Ti"))
    assert StructureEntry.from_ordering(ordering).to_ordering(stored.to_alloy()) == Ordering(
        stored.to_alloy(), ordering.supercell, ordering.species
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bulk("Ti", "hcp", a=2.95, c=4.68).repeat((2, 1, 1)).write(elsewhere / "POSCAR")
    other, _ = read_campaign(campaign(elsewhere, HOST.replace("host.cif", "POSCAR")))
    assert other.alloy.to_alloy().host.name == alloy.host.name
    bulk("Ti", "hcp", a=2.95, c=4.68).write(elsewhere / "host.cif")
    again, _ = read_campaign(campaign(elsewhere, HOST))
    assert campaign_sha256(again) == campaign_sha256(read)


@pytest.mark.parametrize(
    ("alloy", "message"),
    [
        (HOST.replace("host.cif", "none.cif"), "alloy: no file none.cif"),
        (
            HOST.replace("host.cif", "host.pdf"),
            "alloy: .*host.pdf: the format of a crystal is told",
        ),
        (HOST.replace("host.cif", "bad.cif"), "alloy: .*bad.cif cannot be read as cif: "),
        (HOST.replace("host.cif", "bad.xyz"), "alloy: .*bad.xyz cannot be read as extxyz: "),
        (HOST.replace("Ti", "Mo"), "alloy: .*host.cif: it has no Mo to be alloyed"),
        ("prototype: {file: host.cif}", "alloy.prototype.alloyed is missing"),
        ("prototype: {vectors: 3}", "alloy.prototype.vectors is 3; .*and 1 more"),
        (
            "prototype: [Ti]",
            r"alloy.prototype: a name, or \{file: host.cif, alloyed: \[Ti\]\}; got",
        ),
        (HOST, "no lattice constant known for ZrC0.5 in M2C-.*: {Zr: <Å>}"),
    ],
)
def test_hosts_that_are_none_are_refused_in_one_line(
    tmp_path: Path, alloy: str, message: str
) -> None:
    carbide().write(tmp_path / "host.cif")
    (tmp_path / "bad.cif").write_text("loop_\n_atom_site_label\nnothing")
    (tmp_path / "bad.xyz").write_bytes(b"3\n\x00\xff")
    (tmp_path / "host.pdf").write_text("")
    with pytest.raises(ValidationError) as caught:
        read_campaign(campaign(tmp_path, alloy))
    line = validation_line(caught.value)
    assert "\n" not in line
    assert re.search(message, line), line


def test_lattice_constants_come_from_labelled_end_points(tmp_path: Path) -> None:
    """Of elements that neither the file nor a table knows; a given one stays."""
    own = Alloy(("Ti", "Zr"), "rocksalt", "C", {"Ti": 4.30, "Zr": 4.69})
    frames = []
    for element in own.elements:
        ordering = Ordering.end_point(own, element)
        atoms: Atoms = ordering.to_atoms()
        results = {"energy": -1.0, "forces": np.zeros((2, 3)), "stress": np.zeros(6)}
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info = {
            "structure_id": ordering.id,
            "calculation": "relax",
            "step": 0,
            "n_steps": 1,
            "converged": True,
            "settings_id": settings_id({"code": "none"}),
        }
        frames.append(atoms)
    content = frames_content(frames)
    (tmp_path / "data.extxyz").write_bytes(content)
    card = {
        "name": "data",
        "title": "",
        "file": "data.extxyz",
        "sha256": hashlib.sha256(content).hexdigest(),
        "alloy": AlloySpec.of(own).model_dump(mode="json"),
        "settings": {"code": "none"},
        "settings_id": settings_id({"code": "none"}),
        "versions": {},
        "n_structures": 2,
        "n_frames": 2,
        "structures": {},
        "content": {},
        "reference": "",
        "regenerate": "",
    }
    (tmp_path / "data.json").write_text(json.dumps(card))
    labels = "labels: {engine: archive, options: {dataset: data.json}}\n"
    path = campaign(tmp_path, "prototype: rocksalt, anion: C, lattice_constants: {Zr: 4.5}", labels)
    path.write_text(path.read_text().replace("1(2)", "1(1)"))
    read, _ = read_campaign(path)
    constants = read.alloy.lattice_constants
    assert constants == pytest.approx({"Ti": 4.30, "Zr": 4.5}, rel=1e-6)
    path.write_text(path.read_text().replace("data.json", "missing.json"))
    with pytest.raises(ValidationError, match="no lattice constant known for TiC"):
        read_campaign(path)
