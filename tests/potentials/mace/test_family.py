from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

torch = pytest.importorskip("torch")
if find_spec("mace") is None:  # importing it here would change the environment that is tested
    pytest.skip("mace-torch is not installed", allow_module_level=True)

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.mace import (  # noqa: E402
    foundations,
    modules,
)
from hea_flows.potentials.mace.family import MACEFamily  # noqa: E402
from hea_flows.potentials.model_files import ModelFileError  # noqa: E402
from hea_flows.potentials.training.labels import read_labels, with_energies  # noqa: E402
from hea_flows.potentials.training.loss import join_labels, loss  # noqa: E402
from hea_flows.schemas import LossWeights, ModelSpec, TrainingSettings  # noqa: E402
from hea_flows.testing.families import check_calculator  # noqa: E402
from hea_flows.testing.families import distorted_cell as layer  # noqa: E402
from hea_flows.testing.families import labelled_frames as frames  # noqa: E402

SMALL = {"hidden_irreps": "8x0e", "max_ell": 1, "radial_MLP": [16], "r_max": 4.0, "correlation": 2}
FAMILY = MACEFamily(architecture=SMALL)
SETTINGS = TrainingSettings(epochs=3, batch_size=3, learning_rate=0.01, seed=1, threads=1)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def split() -> tuple[list[Atoms], list[Atoms], list[Atoms]]:
    return frames(9), frames(3, 20), frames(3, 30)


@pytest.fixture(scope="module")
def trained(split: tuple[list[Atoms], ...], tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return FAMILY.train(None, *split, SETTINGS, tmp_path_factory.mktemp("trained")).model


def test_importing_mace_leaves_the_protection_of_torch_on() -> None:
    code = (
        "import os, hea_flows.potentials.mace.family, mace.calculators.mace as m, e3nn.o3;"
        "print(os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'))"
    )
    environment = dict(os.environ)
    environment.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "None\n"  # and nothing else is printed


def test_a_batch_is_what_maces_own_calculator_says(trained: ModelSpec) -> None:
    from mace.calculators import MACECalculator

    module = FAMILY.load(trained).module
    theirs = MACECalculator(models=[module], device="cpu", default_dtype="float32")
    structures = [layer("V", 1), layer("Mo", 2).repeat((2, 2, 1)), layer("Nb", 3), bulk("Nb")]
    check_calculator(FAMILY, trained, theirs, structures)


def test_a_model_from_scratch_is_scaled_to_the_frames(split: tuple[list[Atoms], ...]) -> None:
    potential = FAMILY.fresh(split[0], seed=1)
    rms = np.sqrt(np.mean(np.concatenate([f.get_forces() for f in split[0]]) ** 2))
    assert potential.config["atomic_inter_scale"] == pytest.approx(rms)
    assert potential.config["atomic_inter_shift"] == pytest.approx(
        np.mean([f.get_potential_energy() / 3 for f in split[0]])
    )
    distances = [f.repeat((5, 5, 1)) for f in split[0]]
    counts = []
    for big in distances:
        big.pbc = False
        middle = (3 * 12, 3 * 12 + 1, 3 * 12 + 2)  # sees no edge within 4 Å
        counts += [int((big.get_distances(i, range(len(big))) < 4.0).sum()) - 1 for i in middle]
    assert potential.config["avg_num_neighbors"] == pytest.approx(np.mean(counts))
    assert potential.numbers == [16, 23, 41, 42]
    assert not potential.module.atomic_energies_fn.atomic_energies.any()


def test_a_small_set_is_fitted(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 40, "learning_rate": 0.02})
    result = FAMILY.train(None, *split, settings, tmp_path)
    assert result.curve[-1].train_loss < 0.02 * result.curve[0].train_loss
    assert result.errors["train"].energy_mev < 15
    assert result.errors["train"].forces_mev < 100
    assert result.errors["test"].energy_mev < 40


def test_fine_tuning_goes_on_from_the_parent(
    split: tuple[list[Atoms], ...], trained: ModelSpec, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1, "learning_rate": 1e-7})
    kept = FAMILY.train(trained, *split, settings, tmp_path)
    a, b = FAMILY.evaluate(trained, split[2]), FAMILY.evaluate(kept.model, split[2])
    assert [p.energy for p in a] == pytest.approx([p.energy for p in b], abs=1e-3)
    meta = model_files.load(Path(kept.model.path or ""), "mace").meta
    assert meta["parent"]["sha256"] == trained.sha256


def foundation_like() -> Any:
    """A module as MACE-MP-0b2 is made: density blocks, Agnesi transform, pair repulsion."""
    config = (
        dict(modules.ARCHITECTURE)
        | (
            SMALL
            | {
                "interaction_cls": "RealAgnosticDensityResidualInteractionBlock",
                "interaction_cls_first": "RealAgnosticDensityInteractionBlock",
                "hidden_irreps": "8x0e+8x1o",
                "distance_transform": "Agnesi",
                "pair_repulsion": True,
                "r_max": 4.5,
            }
        )
        | {
            "atomic_numbers": [16, 23, 41, 42],
            "atomic_energies": [-1.0, -2.0, -3.0, -4.0],
            "avg_num_neighbors": 17.0,
            "atomic_inter_scale": 0.8,
            "atomic_inter_shift": 0.1,
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return modules.build(config)


@pytest.fixture(scope="module")
def foundation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    module, path = foundation_like(), tmp_path_factory.mktemp("foundation") / "their.model"
    torch.save(module, path)
    return module, path


def test_a_pickle_of_mace_itself_needs_its_checksum(
    foundation: tuple[Any, Path], tmp_path: Path
) -> None:
    from mace.calculators import MACECalculator

    module, path = foundation
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = ModelSpec(family="mace", path=str(path), dtype="float64")
    with pytest.raises(ModelFileError, match="is loaded only with a promised checksum; if you"):
        FAMILY.load(spec)
    with pytest.raises(ModelFileError, match="12 was expected; not loaded"):
        FAMILY.load(spec.model_copy(update={"sha256": "12"}))
    spec = spec.model_copy(update={"sha256": sha256})
    assert FAMILY.resolve(spec) == spec
    atoms = layer("Nb", 4)
    told = FAMILY.evaluate(spec, [atoms])[0]
    atoms.pbc = True
    atoms.calc = MACECalculator(models=[module], device="cpu", default_dtype="float64")
    assert told.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    assert told.forces == pytest.approx(atoms.get_forces(), abs=1e-10)
    # and as our own file
    copy = tmp_path / "ours.pt"
    saved = model_files.save(copy, FAMILY.load(spec).checkpoint())
    again = FAMILY.evaluate(
        ModelSpec(family="mace", path=str(copy), sha256=saved, dtype="float64"), [atoms]
    )[0]
    assert again.energy == told.energy
    assert np.array_equal(again.forces, told.forces)


def test_foundations_by_name(
    foundation: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = modules.foundations_models
    with pytest.raises(ValueError, match="unknown mace model 'tiny'; accepted: small, medium"):
        FAMILY.resolve(ModelSpec(family="mace", name="tiny"))
    with pytest.raises(ValueError, match="unknown mace model None"):
        FAMILY.resolve(ModelSpec(family="mace"))

    def offline(name: str) -> str:
        reason = "Name or service not known"
        raise URLError(reason)

    monkeypatch.setattr(downloads, "download_mace_mp_checkpoint", offline)
    with pytest.raises(FileNotFoundError, match=r"'small-0b2' is not in the cache .* and give its"):
        FAMILY.resolve(ModelSpec(family="mace", name="small-0b2"))

    path = tmp_path / "cached"
    path.write_bytes(foundation[1].read_bytes())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(downloads, "download_mace_mp_checkpoint", lambda name: str(path))
    with pytest.raises(ModelFileError, match=r"2ddb079c.* was expected; not loaded"):
        FAMILY.load(ModelSpec(family="mace", name="small"))  # a published checksum
    medium = ModelSpec(family="mace", name="medium", dtype="float64")
    monkeypatch.delitem(foundations.CHECKSUMS, "medium")  # as a name that a later MACE adds
    line = f"write model: {{family: mace, name: medium, dtype: float64, sha256: {sha256}}}$"
    for use in (FAMILY.resolve, FAMILY.load):
        with pytest.raises(ModelFileError, match=f"'medium' has no published checksum; .*{line}"):
            use(medium)
    medium = ModelSpec(family="mace", name="medium", dtype="float64", sha256=sha256)
    assert FAMILY.resolve(medium) == medium.model_copy(update={"licence": "MIT"})
    assert FAMILY.load(medium).numbers == [16, 23, 41, 42]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelFileError, match=f"{sha256} was expected; not loaded"):
        FAMILY.load(medium)


def test_every_foundation_of_the_installed_mace_has_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MACE's own download into MACE's own cache; only the network is not real."""
    asked = []

    def download(url: str, filename: str, timeout: int = 0) -> tuple[str, str]:
        asked.append(url)
        Path(filename).write_bytes(b"weights")
        return filename, "Content-Type: application/octet-stream"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(modules.foundations_models, "_urlretrieve_with_timeout", download)
    known = foundations.names()
    assert set(foundations.CHECKSUMS) <= set(known)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in foundations.CHECKSUMS.values())
    paper = {"small", "small-0b2"}
    others = {"medium", "large", "small-0b", "medium-0b", "medium-0b2", "large-0b2", "medium-0b3"}
    newer = {"medium-mpa-0", "small-omat-0", "medium-omat-0", "mace-matpes-pbe-0"}
    assert paper | others | newer <= set(known)
    academic = {n for n in known if "omat" in n or "matpes" in n}
    for name in known:
        spec = ModelSpec(family="mace", name=name, sha256="00" * 32)
        for _ in range(2):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                file = foundations.locate(spec)
            assert file.path.parent == tmp_path / "mace"
            assert file.path.read_bytes() == b"weights"
            assert file.promised == spec.sha256
            expected = [f"{name}: Using model under Academic"] if name in academic else []
            assert [str(w.message)[: len(name) + 28] for w in told] == expected
    assert len(asked) == len(set(asked)) == len(known)  # the second time it lay in the cache
    assert [u for u in asked if u.endswith("mace-small-density-agnesi-stress.model")]
    with pytest.raises(ValueError, match="unknown mace model 'mh-1'; accepted: small, medium"):
        foundations.locate(ModelSpec(family="mace", name="mh-1"))


def test_a_web_page_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def page(url: str, filename: str, timeout: int = 0) -> tuple[str, str]:
        Path(filename).write_text("<html>sign in</html>")
        return filename, "Content-Type: text/html"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(modules.foundations_models, "_urlretrieve_with_timeout", page)
    spec = ModelSpec(family="mace", name="medium-0b3")
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded .*check the URL"):
        FAMILY.resolve(spec)
    with pytest.raises(ModelFileError, match="is a web page, not the MACE model 'medium-0b3'; rem"):
        FAMILY.resolve(spec)
    assert len(list((tmp_path / "mace").iterdir())) == 1  # no checksum was recorded


def test_a_pickle_that_was_cut_short_is_refused_in_one_line(
    foundation: tuple[Any, Path], tmp_path: Path
) -> None:
    path = tmp_path / "short.model"
    path.write_bytes(foundation[1].read_bytes()[:5000])
    spec = ModelSpec(family="mace", path=str(path), sha256=model_files.verify(path, None))
    with pytest.raises(ModelFileError, match=r"could not be loaded: [^\n]*$"):
        FAMILY.load(spec)


def test_unknown_elements_blocks_and_entries(
    trained: ModelSpec, foundation: tuple[Any, Path]
) -> None:
    with pytest.raises(ValueError, match="this mace model knows S, V, Nb, Mo, not Cu"):
        FAMILY.evaluate(trained, [bulk("Cu")])
    for wrong, words in (
        ({"hidden": "8x0e"}, "unknown mace architecture entry 'hidden'; accepted: r_max"),
        ({"interaction_cls": "Nice"}, "unknown interaction_cls 'Nice'; accepted: RealAgnostic"),
        ({"gate": "os.system"}, "unknown gate 'os.system'; accepted: abs"),
    ):
        with pytest.raises(ValueError, match=words):
            MACEFamily(architecture=SMALL | wrong).fresh(frames(1), seed=0)
    two_heads = torch.load(foundation[1], weights_only=False)
    two_heads.heads = ["a", "b"]
    with pytest.raises(ModelFileError, match="only ScaleShiftMACE with one head"):
        modules.describe(two_heads)
    with pytest.raises(ModelFileError, match=r"only ScaleShiftMACE with one head.*dict"):
        modules.describe({})


def test_every_family_has_the_same_loss(
    split: tuple[list[Atoms], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given the same energy function, graphs of either family give the same loss."""
    pytest.importorskip("chgnet")
    from hea_flows.potentials.chgnet.family import CHGNetFamily

    def same(batch: Any, positions: Any, strains: Any) -> Any:
        owners = torch.repeat_interleave(batch.n_atoms)
        strained = positions + torch.einsum("ni,nij->nj", positions, strains[owners])
        atoms = (strained @ torch.tensor([0.3, 0.2, 0.1]).to(positions)) ** 2
        return torch.zeros(len(batch.n_atoms)).to(positions).index_add(0, owners, atoms)

    mixed = [split[0][0], split[0][1].repeat((2, 1, 1)), split[0][2]]
    mixed[1].calc = SinglePointCalculator(
        mixed[1], energy=-1.0, forces=np.ones((6, 3)), stress=np.arange(6) / 100
    )
    values = []
    weights = LossWeights(energy=100, forces=10, stress=1e4)
    for potential in (
        FAMILY.fresh(split[0], seed=0),
        CHGNetFamily().load(ModelSpec(family="chgnet", name="0.3.0")),
    ):
        monkeypatch.setattr(potential, "energies", same)
        batch = potential.collate(potential.prepare(mixed))
        labels = join_labels([read_labels(f) for f in mixed], batch.positions)
        values.append(float(loss(potential.predict(batch), labels, weights)))
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert values[0] > 1.0


def test_offsets_are_the_callers(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    moved = with_energies(split[0], [f.get_potential_energy() - 30 for f in split[0]])
    shift = FAMILY.fresh(moved, seed=0).config["atomic_inter_shift"]
    assert shift == pytest.approx(FAMILY.fresh(split[0], seed=0).config["atomic_inter_shift"] - 10)
