from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

pytest.importorskip("torch")

from hea_flows.potentials import model_files
from hea_flows.potentials.base import Family, family
from hea_flows.potentials.training import methods
from hea_flows.runtime.extxyz import write_frames
from hea_flows.schemas import ModelSpec, Replay, TrainingSettings

PARENT = ModelSpec(family="x", name="y")


class Plain(Family):
    name = "plain"

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        return spec

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Any:
        raise NotImplementedError

    def train(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def settings(method: Any) -> TrainingSettings:
    return TrainingSettings(method=method)


def test_a_family_that_says_nothing_trains_all_weights_only() -> None:
    methods.check(Plain(), PARENT, settings("all"))
    methods.check(Plain(), None, settings("all"))
    with pytest.raises(ValueError, match=r"^plain has no training method 'lora'; accepted: all$"):
        methods.check(Plain(), PARENT, settings("lora"))


def test_families_list_their_methods() -> None:
    pytest.importorskip("chgnet")
    chgnet = family("chgnet")
    methods.check(chgnet, PARENT, settings("frozen"))
    for wrong in ("lora", {"kind": "frozen", "through": "products"}):
        with pytest.raises(
            ValueError, match=r"accepted: all, frozen embedding, frozen interactions$"
        ):
            methods.check(chgnet, PARENT, settings(wrong))
    with pytest.raises(ValueError, match="'frozen interactions' needs a parent; from scratch all"):
        methods.check(chgnet, None, settings("frozen"))


def test_a_family_refuses_by_itself_too(tmp_path: Path) -> None:
    pytest.importorskip("chgnet")
    with pytest.raises(ValueError, match="chgnet has no training method 'lora'"):
        family("chgnet").train(
            ModelSpec(family="chgnet", name="0.3.0"), [], [], [], settings("lora"), tmp_path
        )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    frames: list[Atoms] = []
    for i, element in enumerate(["Cu", "Au", "Pt", "Cu", "Au", "Cu"]):
        atoms = bulk(element)
        atoms.calc = SinglePointCalculator(
            atoms, energy=float(i), forces=np.zeros((1, 3)), stress=np.zeros(6)
        )
        frames.append(atoms)
    write_frames(tmp_path / "replay.extxyz", frames)
    return tmp_path / "replay.extxyz"


def test_replay_frames_are_drawn_by_seed_of_known_elements(file: Path) -> None:
    told = set()
    for seed in range(20):
        method = Replay(file=str(file), frames=3, seed=seed)
        drawn = [int(f.get_potential_energy()) for f in methods.replay_frames(method, [29, 79])]
        again = [int(f.get_potential_energy()) for f in methods.replay_frames(method, [29, 79])]
        assert drawn == again == sorted(set(drawn))
        assert len(drawn) == 3
        told |= set(drawn)
    assert told == {0, 1, 3, 4, 5}  # never 2, which is platinum
    with pytest.raises(ValueError, match="holds 5 frames of elements that the parent knows; 6"):
        methods.replay_frames(Replay(file=str(file), frames=6), [29, 79])


def test_a_replay_file_has_its_checksum(file: Path) -> None:
    known = methods.resolve(settings({"kind": "replay", "file": str(file)}))
    assert isinstance(known.method, Replay)
    assert known.method.sha256 == model_files.verify(file, None)
    assert methods.resolve(known) == known
    assert methods.resolve(settings("lora")) == settings("lora")
    file.write_text(file.read_text() + " ")
    for use in (methods.resolve, lambda s: methods.replay_frames(s.method, [29])):
        with pytest.raises(ValueError, match=f"{known.method.sha256} was expected; not loaded"):
            use(known)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="no replay file at"):
        methods.resolve(known)
