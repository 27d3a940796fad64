from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from standalone import compare, tell

torch = pytest.importorskip("torch")
pytest.importorskip("chgnet")

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.chgnet.family import FOUNDATIONS, CHGNetFamily  # noqa: E402
from hea_flows.potentials.model_files import ModelFileError  # noqa: E402
from hea_flows.potentials.training.labels import read_labels  # noqa: E402
from hea_flows.schemas import ModelSpec, TrainingSettings  # noqa: E402
from hea_flows.testing.families import distorted_cell as layer  # noqa: E402

FAMILY = CHGNetFamily()
SPEC = ModelSpec(family="chgnet", name="0.3.0")
SETTINGS = TrainingSettings(epochs=3, batch_size=2, learning_rate=5e-4, seed=1, threads=1)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def frames(n: int, seed: int = 0) -> list[Atoms]:
    """CHGNet's own labels plus a weak Morse potential: something consistent to learn."""
    made = [layer("Mo Nb V".split()[k % 3], seed + k) for k in range(n)]  # noqa: SIM905
    for atoms, told in zip(made, FAMILY.evaluate(SPEC, made), strict=True):
        extra = atoms.copy()
        extra.calc = MorsePotential(epsilon=0.02, r0=2.4, rho0=3.0, rcut1=3.5, rcut2=4.5)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=told.energy + extra.get_potential_energy(),
            forces=told.forces + extra.get_forces(),
            stress=told.stress + extra.get_stress(),
        )
    return made


@pytest.fixture(scope="module")
def split() -> tuple[list[Atoms], list[Atoms], list[Atoms]]:
    return frames(6), frames(2, 20), frames(2, 30)


def test_it_is_chgnet() -> None:
    from chgnet.model.dynamics import CHGNetCalculator

    own = CHGNetCalculator(use_device="cpu")
    structures = [layer("V", 1), bulk("Nb", cubic=True), layer("Mo", 2).repeat((2, 1, 1))]
    structures[1].rattle(0.1, seed=5)
    for atoms, told in zip(structures, FAMILY.evaluate(SPEC, structures), strict=True):
        theirs = atoms.copy()
        theirs.calc = own
        assert told.energy == pytest.approx(theirs.get_potential_energy(), abs=3e-5)
        assert told.forces == pytest.approx(theirs.get_forces(), abs=1e-4)
        assert told.stress == pytest.approx(theirs.get_stress(), abs=1e-5)
        assert abs(told.stress).max() > 1e-3


ALONE = Atoms("Mo", cell=[30.0] * 3, pbc=True)
APART = Atoms("MoV", [[0.0] * 3, [15.0] * 3], cell=[30.0] * 3, pbc=True)
FAR_FROM_A_PAIR = Atoms("MoVS", [[0, 0, 0], [2.3, 0, 0], [15, 15, 15]], cell=[30.0] * 3, pbc=True)
NO_ANGLES = Atoms("MoV", [[0, 0, 0], [4.5, 0, 0]], cell=[30.0] * 3, pbc=True)


@pytest.mark.filterwarnings("ignore")  # CHGNet's about isolated atoms
def test_atoms_without_neighbours_or_angles_are_chgnets() -> None:
    from chgnet.model.dynamics import CHGNetCalculator

    own = CHGNetCalculator(use_device="cpu")
    structures = [ALONE, APART, layer("V", 1), FAR_FROM_A_PAIR, NO_ANGLES]
    potential = FAMILY.load(SPEC)
    batch = potential.evaluate(structures)
    for atoms, among in zip(structures, batch, strict=True):
        theirs = atoms.copy()
        theirs.calc = own
        [alone] = potential.evaluate([atoms])
        for told in (alone, among):
            assert told.energy == pytest.approx(theirs.get_potential_energy(), abs=3e-5)
            assert told.forces == pytest.approx(theirs.get_forces(), abs=1e-4)
            assert told.stress == pytest.approx(theirs.get_stress(), abs=1e-5)


@pytest.mark.parametrize("atoms", [ALONE, APART, FAR_FROM_A_PAIR, NO_ANGLES], ids=str)
def test_the_quick_ways_of_atoms_without_neighbours(atoms: Atoms) -> None:
    """Layers, and energies of other species on the same sites, are those of CHGNet's module."""
    potential = FAMILY.load(SPEC.model_copy(update={"dtype": "float64"}))
    [graph] = potential.prepare([atoms])
    numbers = np.array([atoms.numbers, atoms.numbers[::-1]])
    found = []
    for potential.quick in (False, True):
        output = potential.predict(potential.collate([graph, graph]))
        found.append(
            [
                output.energies.numpy(),
                output.forces.numpy(),
                output.stresses.numpy(),
                potential.energies_of_species(graph)(numbers),
            ]
        )
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


def test_weights_get_the_derivatives_that_chgnets_own_layers_give() -> None:
    potential = FAMILY.load(SPEC.model_copy(update={"dtype": "float64"}))
    structures = [layer("V", 1), layer("Mo", 2).repeat((2, 1, 1))]
    found = []
    for potential.quick in (False, True):
        potential.module.zero_grad()
        batch = potential.collate(potential.prepare(structures))
        output = potential.predict(batch, create_graph=True)
        (output.energies.sum() + (output.forces**2).sum() + (output.stresses**2).sum()).backward()
        named = potential.module.named_parameters()
        slopes = {name: p.grad.clone() for name, p in named if p.grad is not None}
        found.append((output.forces.detach(), slopes))
    (theirs, expected), (ours, slopes) = found
    assert float((ours - theirs).abs().max()) < 1e-11
    assert slopes.keys() == expected.keys()
    for name, slope in expected.items():
        assert float((slopes[name] - slope).abs().max()) <= 1e-11 * float(slope.abs().max())


def test_only_the_energy_costs_no_derivative() -> None:
    atoms = layer("Nb", 3)
    atoms.calc = FAMILY.calculator(SPEC)
    energy = atoms.get_potential_energy()
    assert set(atoms.calc.results) == {"energy", "free_energy"}
    assert atoms.get_forces().shape == (3, 3)
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-6)
    assert set(atoms.calc.results) == {"energy", "free_energy", "forces", "stress"}


def test_a_calculator_follows_swaps_and_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = layer("Nb", 3).repeat((2, 1, 1))
    calculator = FAMILY.calculator(SPEC)
    built: list[int] = []
    graph = calculator.potential.graph
    monkeypatch.setattr(calculator.potential, "graph", lambda a: built.append(1) or graph(a))
    atoms.calc = calculator
    for change in ("none", "swap", "move", "strain", "swap"):
        if change == "swap":
            atoms.numbers[0] = 42 if atoms.numbers[0] == 41 else 41
        elif change == "move":
            atoms.positions[1] += 0.1
        elif change == "strain":
            atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
        told = FAMILY.evaluate(SPEC, [atoms])[0]
        assert atoms.get_potential_energy() == pytest.approx(told.energy, abs=1e-5)
        assert atoms.get_forces() == pytest.approx(told.forces, abs=1e-5)
    assert len(built) == 3  # first, move, strain
    atoms.positions[1] = np.nan
    with pytest.raises(ValueError, match="is not a finite number"):
        atoms.get_potential_energy()
    atoms.positions[1] = [0.1, 0.2, 11.0]
    told = FAMILY.evaluate(SPEC, [atoms])[0]
    assert atoms.get_potential_energy() == pytest.approx(told.energy, abs=1e-4)


def test_fine_tuning_learns(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 15})
    before = FAMILY.evaluate(SPEC, split[0])
    start = 1000 * np.sqrt(
        np.mean([((p.energy - read_labels(f).energy) / 3) ** 2 for p, f in zip(before, split[0])])  # noqa: B905
    )
    result = FAMILY.train(SPEC, *split, settings, tmp_path)
    assert start > 100
    assert result.errors["train"].energy_mev < 10
    assert result.errors["train"].forces_mev < 40
    assert result.errors["test"].energy_mev < 15
    assert result.curve[-1].train_loss < 0.02 * result.curve[0].train_loss
    meta = model_files.load(Path(result.model.path or ""), "chgnet").meta
    assert meta["parent"]["sha256"] == FOUNDATIONS["0.3.0"].sha256
    # the file, loaded again, says what the trained model said
    told = FAMILY.evaluate(result.model, split[2], batch_size=2)
    rmse = 1000 * np.sqrt(
        np.mean([((p.energy - read_labels(f).energy) / 3) ** 2 for p, f in zip(told, split[2])])  # noqa: B905
    )
    assert rmse == pytest.approx(result.errors["test"].energy_mev, rel=1e-3)


def test_resolve_and_refusals(tmp_path: Path) -> None:
    found = FAMILY.resolve(SPEC)
    known = {"sha256": FOUNDATIONS["0.3.0"].sha256, "licence": "modified BSD"}
    assert found == SPEC.model_copy(update=known)
    with pytest.raises(ValueError, match=r"unknown chgnet model '0\.4'; accepted: 0\.3\.0, 0"):
        FAMILY.resolve(ModelSpec(family="chgnet", name="0.4"))
    with pytest.raises(ModelFileError, match=r"sha256 is d14a.*, abcd was expected; not loaded"):
        FAMILY.load(SPEC.model_copy(update={"sha256": "abcd"}))
    path = tmp_path / "other.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert FAMILY.resolve(ModelSpec(family="chgnet", path=str(path))).measured == sha256
    with pytest.raises(ModelFileError, match="neither a CHGNet checkpoint of hea-flows nor"):
        FAMILY.load(ModelSpec(family="chgnet", path=str(path)))
    with pytest.raises(ModelFileError, match="ff was expected; not loaded"):
        FAMILY.load(ModelSpec(family="chgnet", path=str(path), sha256="ff"))
    with pytest.raises(ValueError, match="CHGNet knows the elements up to Z = 94"):
        FAMILY.evaluate(SPEC, [bulk("Cm", "fcc", a=5.0)])


@pytest.mark.parametrize("name", sorted(FOUNDATIONS))
def test_every_foundation_of_the_wheel_loads_without_running_code(name: str) -> None:
    from chgnet.model import CHGNet

    atoms = layer("Mo", 1)
    told = FAMILY.evaluate(ModelSpec(family="chgnet", name=name), [atoms])[0]
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = AseAtomsAdaptor.get_structure(atoms)
    own = CHGNet.load(model_name=name, use_device="cpu", verbose=False)
    assert told.energy == pytest.approx(
        float(own.predict_structure(structure, task="e")["e"]) * 3, abs=3e-5
    )


@pytest.mark.parametrize("through", ["embedding", "interactions"])
def test_frozen_parts_stay_bit_identical(
    split: tuple[list[Atoms], ...], tmp_path: Path, through: str
) -> None:
    """Through the interactions: what CHGNet's own example of fine-tuning freezes."""
    example = ["atom_embedding", "bond_embedding", "angle_embedding"]
    example += ["bond_basis_expansion", "angle_basis_expansion"]
    if through == "interactions":
        example += ["bond_conv_layers", "angle_layers"]
        example += [f"atom_conv_layers.{i}" for i in range(3)]
    method = {"kind": "frozen", "through": through}
    settings = TrainingSettings.model_validate(
        SETTINGS.model_dump() | {"method": method, "epochs": 1}
    )
    result = FAMILY.train(SPEC, *split, settings, tmp_path)
    before = FAMILY.load(SPEC).module
    after = model_files.load(Path(result.model.path or ""), "chgnet").state
    changed = {n for n, p in before.named_parameters() if not torch.equal(p.detach(), after[n])}
    frozen = tuple(f"{name}." for name in example)
    assert changed
    assert not [n for n in changed if n.startswith(frozen)]
    # The magnetic moments are not learned; everything else that may change does.
    free = {n for n, p in before.named_parameters() if not n.startswith(frozen)}
    unused = {n for n in free if n.startswith(("composition_model", "site_wise"))}
    assert {n.split(".")[0] for n in free - unused} == {n.split(".")[0] for n in changed}
    assert (f"atom_conv_layers.{len(before.atom_conv_layers) - 1}") in {
        ".".join(n.split(".")[:2]) for n in changed
    }


def test_a_model_from_scratch_has_no_energies_of_elements() -> None:
    small = CHGNetFamily(architecture={"atom_fea_dim": 8, "bond_fea_dim": 8, "angle_fea_dim": 8})
    assert small.fresh([], 0).module.composition_model is None


OFFSETS = {"Mo": -3.25, "S": 0.5, "Og": 9.0}


def test_chgnets_calculator_gives_the_same_on_the_zero_of_the_labels(tmp_path: Path) -> None:
    """CHGNet computes in float32: energies agree to its rounding."""
    path = tmp_path / "scratch.pt"
    sha256 = model_files.save(path, FAMILY.fresh([], seed=1).checkpoint())
    scratch = ModelSpec(family="chgnet", path=str(path), sha256=sha256)
    specs, structures = {"tuned": SPEC, "scratch": scratch}, [layer("Mo", 1), layer("V", 2)]
    files = {name: FAMILY.native(spec, OFFSETS) for name, spec in specs.items()}
    told = tell(files, structures, tmp_path)
    for name, spec in specs.items():
        ours = FAMILY.evaluate(spec, structures)
        compare(told[name], ours, structures, OFFSETS, energy=2e-6, forces=2e-5)


def test_a_native_file_is_plain_data_whose_energies_of_elements_have_moved(tmp_path: Path) -> None:
    path = tmp_path / "native.pth.tar"
    path.write_bytes(FAMILY.native(SPEC, OFFSETS).content)
    before = FAMILY.load(SPEC).module.state_dict()
    after = model_files.load_plain(path)["model"]["state_dict"]
    assert after.keys() == before.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"composition_model.fc.weight"}
    difference = (after["composition_model.fc.weight"] - before["composition_model.fc.weight"])[0]
    assert {z + 1: float(x) for z, x in enumerate(difference) if x} == pytest.approx(
        {42: -3.25, 16: 0.5}, abs=1e-6
    )
    again = ModelSpec(family="chgnet", path=str(path))
    [one], [two] = (FAMILY.evaluate(spec, [layer("Mo", 1)]) for spec in (SPEC, again))
    assert two.energy - one.energy == pytest.approx(-3.25 + 2 * 0.5, abs=1e-5)
