from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import get_type_hints

import pytest

torch = pytest.importorskip("torch")

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.model_files import (  # noqa: E402
    Checkpoint,
    ModelFile,
    ModelFileError,
)
from hea_flows.schemas import Measured, ModelSpec, Promised  # noqa: E402


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.victim),))


@pytest.fixture
def trap(tmp_path: Path) -> tuple[Path, Path, str]:
    victim, path = tmp_path / "victim", tmp_path / "trap.model"
    torch.save({"format": model_files.FORMAT, "state": Payload(victim)}, path)
    return path, victim, hashlib.sha256(path.read_bytes()).hexdigest()


def checkpoint(**changes: object) -> Checkpoint:
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(3)}
    parts = {"family": "toy", "config": {"size": 2, "names": ["x", "y"]}, "state": state} | changes
    return Checkpoint(**parts)  # type: ignore[arg-type]


def test_a_payload_does_not_run(
    trap: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, victim, sha256 = trap
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # as `import mace` leaves it
    for promised in (None, sha256):
        with pytest.raises(ModelFileError, match="does not hold plain data only"):
            model_files.load(path, "toy", promised)
    with pytest.raises(ModelFileError, match=f"sha256 is {sha256}, none was expected; not loaded"):
        model_files.load_pickle(path, None)  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match=f"sha256 is {sha256}, 0000 was expected; not loaded"):
        model_files.load_pickle(path, Promised("0000"))
    assert not victim.exists()
    model_files.load_pickle(path, Promised(sha256))  # the payload is alive: trusted files do run
    assert victim.exists()


def test_only_a_promise_opens_a_pickle(trap: tuple[Path, Path, str]) -> None:
    path, victim, sha256 = trap
    assert get_type_hints(model_files.load_pickle)["promised"] is Promised
    assert get_type_hints(model_files.verify)["return"] is Measured
    spec = ModelSpec(family="toy", path=str(path), dtype="float64")
    for known in (spec, spec.model_copy(update={"measured": sha256})):
        with pytest.raises(ModelFileError) as caught:
            model_files.load_plain_or_pickle(ModelFile(known, path, known.sha256))
        assert str(caught.value) == (
            f"{path} may run code, so it is loaded only with a promised checksum; if you trust "
            "where it comes from, write model: "
            f"{{family: toy, path: {path}, dtype: float64, sha256: {sha256}}}"
        )
    other = spec.model_copy(update={"measured": "00" * 32})
    with pytest.raises(ModelFileError, match=f"sha256 is {sha256}, 0000.* was expected"):
        model_files.load_plain_or_pickle(ModelFile(other, path, None))
    assert not victim.exists()
    model_files.load_plain_or_pickle(ModelFile(spec, path, Promised(sha256)))
    assert victim.exists()


def test_what_is_measured_is_no_promise(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    sha256 = model_files.save(path, checkpoint())
    spec = ModelSpec(family="toy", path=str(path))
    measured = ModelFile(spec, path, None).resolved()
    assert (measured.sha256, measured.measured, measured.checksum) == (None, sha256, sha256)
    promised = ModelFile(measured, path, sha256).resolved()
    assert (promised.sha256, promised.measured, promised.checksum) == (sha256, None, sha256)
    assert measured.content() == promised.content()  # the same model, whoever stands for it
    assert ModelSpec.from_dict(measured.as_dict()) == measured  # also after a database


def test_a_bare_pickle_does_not_run(tmp_path: Path) -> None:
    path, victim = tmp_path / "bare.pt", tmp_path / "victim"
    path.write_bytes(pickle.dumps(Payload(victim)))
    with pytest.raises(ModelFileError, match="does not hold plain data only"):
        model_files.load(path, "toy")
    assert not victim.exists()


def test_round_trip(tmp_path: Path) -> None:
    saved = checkpoint(meta={"seed": 7, "parent": None})
    sha256 = model_files.save(tmp_path / "m.pt", saved)
    assert model_files.verify(tmp_path / "m.pt", sha256) == sha256
    loaded = model_files.load(tmp_path / "m.pt", "toy", sha256.upper())
    assert loaded.config == saved.config
    assert loaded.meta == saved.meta
    assert all(torch.equal(loaded.state[k], v) for k, v in saved.state.items())


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    one = model_files.save(tmp_path / "one.pt", checkpoint())
    big = torch.zeros(100, 3)
    big[10:12] = torch.arange(6.0).reshape(2, 3)
    shared = str(b"toy", "ascii")  # an equal text that is another object
    state = {str(b"a.weight", "ascii"): big[10:12], "a.count": torch.tensor(3)}
    two = model_files.save(tmp_path / "two.pt", checkpoint(family=shared, state=state))
    assert one == two
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_a_wrong_checksum_or_family_or_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    model_files.save(path, checkpoint())
    with pytest.raises(ModelFileError, match="beef was expected; not loaded"):
        model_files.load(path, "toy", "beef")
    with pytest.raises(ModelFileError, match="holds a model of the family 'toy', not 'mace'"):
        model_files.load(path, "mace")
    with pytest.raises(FileNotFoundError, match=r"there is no model file .*nothing\.pt"):
        model_files.load(tmp_path / "nothing.pt", "toy")
    torch.save([1, 2], path)
    with pytest.raises(ModelFileError, match="is no toy checkpoint of hea-flows"):
        model_files.load(path, "toy")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.pt"
    sha256 = model_files.save(path, checkpoint())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        model_files.save(path, checkpoint(config={"size": 3}))
    assert model_files.verify(path, sha256) == sha256
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt"]


def test_only_plain_data_is_saved(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="plain data and tensors, not PosixPath"):
        model_files.save(tmp_path / "m.pt", checkpoint(config={"path": tmp_path}))
