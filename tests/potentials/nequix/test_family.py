"""Nequix with random weights, compared with Nequix's own program; with real weights where found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from standalone import compare as compare_native
from standalone import shift, tell

torch = pytest.importorskip("torch")
pytest.importorskip("e3nn", reason="e3nn is not installed: pip install 'hea-flows[nequix]'")

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.base import Prediction  # noqa: E402
from hea_flows.potentials.nequix import network  # noqa: E402
from hea_flows.potentials.nequix.family import FOUNDATIONS, NequixFamily  # noqa: E402
from hea_flows.reference import find_card, load_dataset  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402
from hea_flows.testing.families import check_derivatives  # noqa: E402
from hea_flows.testing.families import distorted_cell as layer  # noqa: E402
from hea_flows.testing.families import labelled_frames as frames  # noqa: E402

SMALL = {
    "hidden_irreps": "8x0e + 4x1o + 4x2e",
    "n_layers": 2,
    "radial_mlp_size": 16,
    "cutoff": 4.0,
}
FAMILY = NequixFamily(architecture=SMALL)
REFERENCE = Path(__file__).parent / "reference"
WEIGHTS = [
    FOUNDATIONS["mp-1"].path,
    Path(__file__).parents[4] / "shared" / "data" / "nequix" / "nequix-mp-1.nqx",
]
needs_nequix = pytest.mark.skipif(
    find_spec("nequix") is None or find_spec("jraph") is None,
    reason="Nequix itself is not installed: requirements/nequix.txt",
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def real() -> ModelSpec:
    """Return the foundation model, if its file is there; its checksum is the known one."""
    path = next((path for path in WEIGHTS if path.is_file()), None)
    if path is None:
        pytest.skip("no nequix-mp-1.nqx in Nequix's cache or in shared/data/nequix")
    return ModelSpec(family="nequix", path=str(path), sha256=FOUNDATIONS["mp-1"].sha256)


def shipped() -> list[Atoms]:
    """Return the last frame of some relaxations of MX2 cells of one to three units."""
    _, trajectories = load_dataset(find_card("pbe-mo-ta-nb-w-v-s2"))
    return [steps[-1] for steps in trajectories.values() if len(steps[-1]) <= 9][::4]


CONFIG = {
    "hidden_irreps": "8x0e + 4x1o + 2x2e",
    "n_layers": 3,
    "lmax": 3,
    "cutoff": 4.5,
    "radial_basis_size": 6,
    "radial_mlp_size": 12,
    "radial_mlp_layers": 2,
    "radial_polynomial_p": 5.0,
    "mlp_init_scale": 4.0,
    "index_weights": False,
    "layer_norm": True,
    "shift": 0.2,
    "scale": 1.7,
    "avg_n_neighbors": 17.0,
}


def told_by_nequix(path: Path, structures: list[Atoms]) -> list[dict[str, Any]]:
    """Return what Nequix's own calculator (JAX) says."""
    from nequix.calculator import NequixCalculator

    calculator = NequixCalculator(model_path=str(path), use_kernel=False)
    told = []
    for structure in structures:
        atoms = structure.copy()
        atoms.pbc, atoms.calc = True, calculator
        told.append(
            {
                "energy": float(atoms.get_potential_energy()),
                "forces": atoms.get_forces().tolist(),
                "stress": atoms.get_stress().tolist(),
            }
        )
    return told


def write_reference(folder: Path) -> None:
    """Write a model with random weights by Nequix itself, and what Nequix says of `REFERENCE`."""
    import jax
    from nequix.model import Nequix, save_model

    energies = [-4.0, -8.5, -9.5, -10.5]
    module = Nequix(jax.random.key(3), n_species=4, atom_energies=energies, **CONFIG)
    save_model(str(folder / "random.nqx"), module, CONFIG | {"atomic_numbers": [16, 23, 41, 42]})
    told = told_by_nequix(folder / "random.nqx", reference_structures())
    (folder / "random.json").write_text(json.dumps(told))


def reference_structures() -> list[Atoms]:
    mixed = layer("Mo", 2).repeat((2, 1, 1))
    mixed.symbols[0] = "V"
    return [mixed, layer("Nb", 3)]


def compare(told: list[Prediction], reference: list[dict[str, Any]]) -> None:
    for ours, theirs in zip(told, reference, strict=True):
        n = len(theirs["forces"])
        assert ours.energy / n == pytest.approx(theirs["energy"] / n, abs=1e-5)
        assert ours.forces == pytest.approx(np.array(theirs["forces"]), abs=1e-5)
        assert ours.stress == pytest.approx(np.array(theirs["stress"]), abs=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_weights_give_what_nequix_itself_gave(dtype: str) -> None:
    spec = ModelSpec(family="nequix", path=str(REFERENCE / "random.nqx"), dtype=dtype)
    reference = json.loads((REFERENCE / "random.json").read_text())
    compare(FAMILY.evaluate(spec, reference_structures()), reference)
    assert abs(np.array(reference[0]["forces"])).max() > 0.1


@needs_nequix
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nequix_itself_still_says_so(tmp_path: Path) -> None:
    write_reference(tmp_path)
    assert (tmp_path / "random.nqx").read_bytes() == (REFERENCE / "random.nqx").read_bytes()
    spec = ModelSpec(family="nequix", path=str(tmp_path / "random.nqx"))
    reference = json.loads((tmp_path / "random.json").read_text())
    compare(FAMILY.evaluate(spec, reference_structures()), reference)


@needs_nequix
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_real_weights_give_what_nequix_itself_gives(real: ModelSpec) -> None:
    structures = shipped()
    assert len(structures) >= 4
    compare(FAMILY.evaluate(real, structures), told_by_nequix(Path(str(real.path)), structures))


def test_real_weights_have_forces_that_are_derivatives(real: ModelSpec) -> None:
    spec = real.model_copy(update={"dtype": "float64"})
    check_derivatives(FAMILY.calculator(spec), layer("Mo", 1))


def test_what_cannot_be_built_or_known_is_said() -> None:
    for entry, message in (
        ({"irreps": "8x0e"}, "unknown nequix architecture entry 'irreps'; accepted: cutoff"),
        ({"hidden_irreps": "8x0e + 2x1e"}, "no path of this Nequix architecture leads to 1e"),
        ({"hidden_irreps": "8x1o"}, "need 0e and no 0o among their features, got '8x1o'"),
    ):
        with pytest.raises(ValueError, match=message):
            NequixFamily(architecture=entry).fresh(frames(1), 0)
    with pytest.raises(ValueError, match=r"\(index_weights\) cannot be used"):
        network.Nequix({"index_weights": True})
    with pytest.raises(ValueError, match="this nequix model knows S, V, Nb, Mo, not W"):
        FAMILY.fresh(frames(3), 0).prepare([bulk("W")])


OFFSETS = {"Mo": -3.25, "S": 0.5, "Og": 9.0}
RANDOM = ModelSpec(family="nequix", path=str(REFERENCE / "random.nqx"))


def test_a_native_file_has_the_form_that_nequix_itself_writes(tmp_path: Path) -> None:
    theirs, ours = Path(str(RANDOM.path)).read_bytes(), FAMILY.native(RANDOM, {}).content
    (header, arrays), (own, own_arrays) = (raw.split(b"\n", 1) for raw in (theirs, ours))
    assert json.loads(header) == json.loads(own)
    assert arrays == own_arrays
    file = FAMILY.native(RANDOM, OFFSETS)
    path = tmp_path / f"moved{file.suffix}"
    path.write_bytes(file.content)
    assert path.suffix == ".nqx"
    moved = ModelSpec(family="nequix", path=str(path), dtype="float64")
    structures = reference_structures()
    exact = RANDOM.model_copy(update={"dtype": "float64"})
    for atoms, before, after in zip(
        structures, FAMILY.evaluate(exact, structures), FAMILY.evaluate(moved, structures),
        strict=True,
    ):  # fmt: skip
        assert after.energy - before.energy == pytest.approx(shift(atoms, OFFSETS), abs=1e-6)
        assert np.array_equal(after.forces, before.forces)


@needs_nequix
@pytest.mark.slow
def test_nequix_itself_opens_a_native_file(tmp_path: Path) -> None:
    """Also one of a model from scratch, whose description has no `index_weights`."""
    path, structures = tmp_path / "scratch.pt", [layer("Mo", 1), layer("Nb", 2)]
    model_files.save(path, FAMILY.fresh(frames(3), 0).checkpoint())
    specs = {"random": RANDOM, "scratch": ModelSpec(family="nequix", path=str(path))}
    files = {name: FAMILY.native(spec, OFFSETS) for name, spec in specs.items()}
    told = tell(files, structures, tmp_path)
    for name, spec in specs.items():
        ours = FAMILY.evaluate(spec, structures)
        compare_native(told[name], ours, structures, OFFSETS, energy=1e-5, forces=1e-5)
