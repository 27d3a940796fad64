"""What every family refuses, in one line each, and without running what a file brings along."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.base import Family, families, family  # noqa: E402
from hea_flows.potentials.model_files import Checkpoint, ModelFileError  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402
from hea_flows.testing.families import labelled_frames  # noqa: E402

#: What each built-in family needs.
NEEDS = {
    "chgnet": "chgnet",
    "mace": "mace",
    "mattersim": "mattersim",
    "nequip": "nequip",
    "nequix": "e3nn",
    "sevennet": "sevenn",
}
#: Small models of each family that can be built without training.
ARCHITECTURE: dict[str, dict[str, Any]] = {
    "chgnet": {"atom_fea_dim": 8, "bond_fea_dim": 8, "angle_fea_dim": 8, "n_conv": 2},
    "mace": {"hidden_irreps": "4x0e", "max_ell": 1, "radial_MLP": [8], "correlation": 1},
    "mattersim": {"num_blocks": 1, "units": 8},
    "nequix": {"hidden_irreps": "4x0e", "n_layers": 1, "lmax": 1, "radial_mlp_size": 8},
    "sevennet": {"channel": 4, "num_convolution_layer": 1, "cutoff": 4.0},
}
NAMES = sorted(NEEDS)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.victim),))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    return name


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def written(name: str, path: Path) -> Path:
    """Write an untrained model as this package does."""
    chosen: Any = family(name, architecture=ARCHITECTURE[name])
    model_files.save(path, chosen.fresh(labelled_frames(2), 0).checkpoint())
    return path


def refused(
    model: Family, path: Path, sha256: str | None, error: type[Exception] = ModelFileError
) -> str:
    """Return the one line that both uses of a file end with."""
    spec = ModelSpec(family=model.name, path=str(path), sha256=sha256)
    said = []
    uses: tuple[Callable[[], Any], ...] = (
        lambda: model.calculator(spec),
        lambda: model.evaluate(spec, labelled_frames(1)),
    )
    for use in uses:
        with pytest.raises(error) as caught:
            use()
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]
    assert str(path) in said[0]
    assert len(said[0]) < 400
    return said[0]


def test_every_family_is_tested() -> None:
    apart = {"ase", "cluster-expansion", "committee"}  # no network's weights: tests of their own
    assert families() == sorted({*NAMES, *apart})


def test_an_unknown_name_lists_the_accepted_ones(name: str) -> None:
    spec = ModelSpec(family=name, name="no-such-model")
    with pytest.raises(ValueError, match=r"^unknown .* model 'no-such-model'; accepted: .+") as one:
        family(name).resolve(spec)
    assert str(one.value).endswith("a path")
    assert "\n" not in str(one.value)


def test_no_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "none.pt"
    assert refused(family(name), path, None, FileNotFoundError) == f"there is no model file {path}"


def test_a_wrong_checksum(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"anything")
    expected = f"{path}: sha256 is {sha256_of(path)}, {'ab' * 32} was expected; not loaded"
    assert refused(family(name), path, "ab" * 32) == expected
    with pytest.raises(ModelFileError, match=r"was expected; not loaded$"):
        family(name).resolve(ModelSpec(family=name, path=str(path), sha256="ab" * 32))


def test_a_truncated_file(name: str, tmp_path: Path) -> None:
    """Also with the checksum of what is left, as one recorded after a broken download would be."""
    if name not in ARCHITECTURE:
        pytest.skip(f"{name} has no model files of this package")
    whole = written(name, tmp_path / "whole.pt")
    found = family(name).resolve(ModelSpec(family=name, path=str(whole)))
    assert (found.sha256, found.measured) == (None, sha256_of(whole))  # read, promised by nobody
    family(name).calculator(ModelSpec(family=name, path=str(whole)))
    for size in (0, 10, whole.stat().st_size // 2, whole.stat().st_size - 30):
        path = tmp_path / "half.pt"
        path.write_bytes(whole.read_bytes()[:size])
        refused(family(name), path, None)
        refused(family(name), path, sha256_of(path))


def test_a_model_of_another_family(name: str, tmp_path: Path) -> None:
    other = next(n for n in ("chgnet", "mace") if n != name)
    if find_spec(NEEDS[other]) is None:
        pytest.skip(f"{NEEDS[other]} is not installed")
    path = written(other, tmp_path / "other.pt")
    for sha256 in (None, sha256_of(path)):
        said = refused(family(name), path, sha256)
        if name != "nequip":
            assert said == f"{path} holds a model of the family {other!r}, not {name!r}"


def test_something_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tensors.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    for sha256 in (None, sha256_of(path)):
        refused(family(name), path, sha256)


@pytest.mark.parametrize("form", ["torch", "bare", "in a checkpoint"])
def test_a_pickle_that_runs_a_command(
    name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # as `import mace` leaves it
    victim, path = tmp_path / "victim", tmp_path / "trap.pt"
    if form == "bare":
        path.write_bytes(pickle.dumps(Payload(victim), protocol=2))
    elif form == "torch":
        torch.save(Payload(victim), path)
    else:
        content = {"format": model_files.FORMAT, "family": name, "config": {}, "meta": {}}
        torch.save(content | {"state": Payload(victim)}, path)
    refused(family(name), path, None)
    refused(family(name), path, "00" * 32)
    with pytest.raises(ModelFileError):
        family(name).resolve(ModelSpec(family=name, path=str(path)))
    assert not victim.exists()


def test_a_whole_nequix_file_only(tmp_path: Path) -> None:
    pytest.importorskip("e3nn")
    whole = (Path(__file__).parent / "nequix" / "reference" / "random.nqx").read_bytes()
    path, model = tmp_path / "part.nqx", family("nequix")
    line = whole.index(b"\n") + 1
    victim = tmp_path / "victim"
    bad = {
        "in its first line": whole[: line // 2],
        "between arrays": whole[: -len(b"\n")][: len(whole) // 2],
        "in its last array": whole[:-9],
        "longer": whole + whole[line : line + 200],
        "another architecture": whole[:line].replace(b"8x0e", b"9x0e") + whole[line:],
        "without an entry": whole[:line].replace(b"lmax", b"lmix") + whole[line:],
        "a pickle among the arrays": whole[:line] + pickle.dumps(Payload(victim), protocol=2),
    }
    for what, raw in bad.items():
        path.write_bytes(raw)
        assert "is no whole Nequix model (" in refused(model, path, None), what
    assert not victim.exists()


@pytest.mark.parametrize("name", ["chgnet", "nequix"])
def test_our_own_file_without_some_weights(name: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[name])
    whole = model_files.load(written(name, tmp_path / "whole.pt"), name)
    path, first = tmp_path / "part.pt", next(iter(whole.state))
    state = {key: value for key, value in whole.state.items() if key != first}
    model_files.save(path, Checkpoint(name, whole.config, state))
    said = refused(family(name), path, None)
    assert f'Missing key(s) in state_dict: "{first}"' in said
