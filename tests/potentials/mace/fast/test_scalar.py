"""The layers for training against MACE's own forward pass, which differentiates by positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

torch = pytest.importorskip("torch")
if find_spec("mace") is None:
    pytest.skip("mace-torch is not installed", allow_module_level=True)

from hea_flows.alloy.lattice.ordering import Ordering  # noqa: E402
from hea_flows.alloy.lattice.prototypes import Alloy  # noqa: E402
from hea_flows.potentials.mace.family import MACEFamily  # noqa: E402
from hea_flows.potentials.mace.fast import ScalarMACE, layers  # noqa: E402
from hea_flows.potentials.mace.fast.bonds import Bonds, bond_slots  # noqa: E402
from hea_flows.potentials.mace.fast.slots import Slots, expand, spread  # noqa: E402
from hea_flows.potentials.training.data import Split  # noqa: E402
from hea_flows.potentials.training.loss import squared_errors  # noqa: E402
from hea_flows.schemas import TrainingSettings  # noqa: E402

ALLOY = Alloy(("Mo", "Nb", "V"))
CELLS = [
    (((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Nb",)),
    (((1, 0, 0), (0, 2, 0), (0, 0, 1)), ("Mo", "V")),
    (((1, 0, 0), (0, 3, 0), (0, 0, 1)), ("Mo", "Nb", "V")),
]
DENSITY = "RealAgnosticDensityInteractionBlock"
ARCHITECTURES = {
    "from scratch": {"hidden_irreps": "8x0e", "radial_MLP": [16, 8], "r_max": 4.5},
    "as MACE-MP-0 small": {"hidden_irreps": "4x0e", "max_ell": 3, "radial_MLP": [8]},
    "as 0b2 small": {
        "hidden_irreps": "4x0e",
        "max_ell": 3,
        "radial_MLP": [8],
        "distance_transform": "Agnesi",
        "pair_repulsion": True,
        "interaction_cls_first": DENSITY,
        "interaction_cls": "RealAgnosticDensityResidualInteractionBlock",
    },
    "no residual": {
        "hidden_irreps": "4x0e",
        "correlation": 2,
        "interaction_cls_first": "RealAgnosticInteractionBlock",
        "MLP_irreps": "3x0e",
    },
}


def frames() -> list[Atoms]:
    rng = np.random.default_rng(5)
    made = []
    for k, (supercell, species) in enumerate(CELLS):
        atoms = Ordering(ALLOY, supercell, species).to_atoms()
        atoms.set_cell(atoms.cell.array @ np.diag([1.01, 0.98, 1]), scale_atoms=True)
        atoms.rattle(0.08, seed=k)
        n = len(atoms)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(rng.normal() * n),
            forces=rng.normal(size=(n, 3)),
            stress=rng.normal(size=6) * 0.05,
        )
        made.append(atoms)
    return made


def lonely(symbols: str) -> Atoms:
    """Return labelled atoms that have no neighbours."""
    positions = 20.0 * np.arange(len(Atoms(symbols)))[:, None] * np.ones(3)
    atoms = Atoms(symbols, positions, cell=[40.0] * 3, pbc=True)
    atoms.calc = SinglePointCalculator(
        atoms, energy=-1.5, forces=np.zeros((len(atoms), 3)), stress=np.zeros(6)
    )
    return atoms


def results(
    potential: Any, chosen: Sequence[Atoms] | None = None
) -> tuple[Any, float, dict[str, Any]]:
    """Return predictions, loss and its derivatives by all weights."""
    settings, chosen = TrainingSettings(), chosen or frames()
    batch, labels = Split.of(potential, chosen).batch(potential, range(len(chosen)))
    potential.module.zero_grad()
    output = potential.predict(batch, create_graph=True)
    loss = squared_errors(output, labels).loss(settings.weights)
    loss.backward()
    named = potential.module.named_parameters()
    slopes = {name: p.grad.clone() for name, p in named if p.grad is not None}
    return output, float(loss), slopes


@pytest.mark.parametrize(
    ("name", "apart"),
    [*((name, False) for name in ARCHITECTURES), ("as 0b2 small", True)],
)
def test_numbers_are_those_of_mace(name: str, *, apart: bool) -> None:
    start = MACEFamily(architecture=ARCHITECTURES[name], dtype="float64").fresh(frames(), 3)
    start.module.radial_embedding.apply_cutoff = not apart
    assert layers.supported(start.module)
    (theirs, loss, slopes), (ours, our_loss, our_slopes) = (
        results(start),
        results(ScalarMACE(start)),
    )
    for key in ("energies", "forces", "stresses"):
        a, b = getattr(theirs, key).detach(), getattr(ours, key).detach()
        assert float((a - b).abs().max()) <= 1e-12 * float(a.abs().max())
    assert our_loss == pytest.approx(loss, rel=1e-12)
    assert our_slopes.keys() == slopes.keys()
    for key, slope in slopes.items():
        assert float((our_slopes[key] - slope).abs().max()) <= 1e-11 * float(slope.abs().max())


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda: [lonely("Mo")], id="one atom"),
        pytest.param(lambda: [lonely("MoV"), lonely("S")], id="several atoms, none with a bond"),
        pytest.param(lambda: [*frames(), lonely("VMo"), lonely("Nb")], id="among others"),
    ],
)
def test_atoms_without_neighbours_are_those_of_mace(
    name: str, part: Callable[[], list[Atoms]]
) -> None:
    start = MACEFamily(architecture=ARCHITECTURES[name], dtype="float64").fresh(frames(), 3)
    potential = ScalarMACE(start)
    theirs, loss, slopes = results(start, part())
    ours, our_loss, our_slopes = results(potential, part())
    for key in ("energies", "forces", "stresses"):
        a, b = getattr(theirs, key).detach(), getattr(ours, key).detach()
        assert a.shape == b.shape
        assert float((a - b).abs().max()) <= 1e-12 * float(theirs.energies.abs().max())
    assert our_loss == pytest.approx(loss, rel=1e-12)
    for key in our_slopes.keys() | slopes.keys():  # a slope of zero may be left out
        a, b = slopes.get(key, torch.zeros(())), our_slopes.get(key, torch.zeros(()))
        assert float((a - b).abs().max()) <= 1e-11 * max(float(a.abs().max()), 1e-3)
    for theirs, ours in zip(start.evaluate(part()), potential.evaluate(part()), strict=True):
        assert ours.energy == pytest.approx(theirs.energy, rel=1e-12)


def test_a_set_of_atoms_without_neighbours_is_trained_on(tmp_path: Path) -> None:
    """A scale by the mean number of neighbours, which is none, would be infinite."""
    family = MACEFamily(architecture=ARCHITECTURES["from scratch"], dtype="float64")
    start = family.fresh([lonely("MoV")], 3)
    assert start.config["avg_num_neighbors"] == 1.0
    settings = TrainingSettings(epochs=3, batch_size=1, seed=2)
    mixed = [lonely("Mo"), *frames(), lonely("MoV")]
    result = family.train(None, mixed, [lonely("V")], [], settings, tmp_path)
    assert np.isfinite([e.train_loss for e in result.curve]).all()
    assert np.isfinite([e.validation_loss for e in result.curve]).all()


def test_evaluation_gives_the_same_numbers_as_training() -> None:
    start = MACEFamily(architecture=ARCHITECTURES["as 0b2 small"], dtype="float64").fresh(
        frames(), 3
    )
    potential = ScalarMACE(start)
    batch = potential.collate(potential.prepare(frames()))
    with_graph = potential.predict(batch, create_graph=True)
    for _ in range(2):  # nothing is left over from a pass before
        without = potential.predict(batch)
        for key in ("energies", "forces", "stresses"):
            a, b = getattr(with_graph, key).detach(), getattr(without, key)
            assert float((a - b).abs().max()) <= 1e-13 * float(a.abs().max())
            assert not getattr(without, key).requires_grad
    only = potential.predict(batch, forces=False, stress=False)
    assert only.forces is only.stresses is None
    assert torch.allclose(only.energies.detach(), without.energies, rtol=1e-14)
    assert potential.predict(batch, forces=False).forces is None


def test_frames_prepared_together_are_those_prepared_alone() -> None:
    start = MACEFamily(architecture=ARCHITECTURES["as 0b2 small"], dtype="float64").fresh(
        frames(), 3
    )
    potential = ScalarMACE(start)
    together = potential.prepare([*frames(), lonely("Mo")])
    alone = [potential.prepare([frame])[0] for frame in (*frames(), lonely("Mo"))]
    theirs, ours = (potential.predict(potential.collate(g)) for g in (alone, together))
    for key in ("energies", "forces", "stresses"):
        a, b = getattr(theirs, key), getattr(ours, key)
        assert float((a - b).abs().max()) <= 1e-13 * float(a.abs().max())


@pytest.mark.parametrize("name", ["from scratch", "as 0b2 small"])
def test_other_species_on_the_same_sites(name: str) -> None:
    start = MACEFamily(architecture=ARCHITECTURES[name], dtype="float64").fresh(frames(), 3)
    potential = ScalarMACE(start)
    frame = frames()[2]
    graph = potential.prepare([frame])[0]
    frame.numbers[frame.numbers == 42] = 41
    expected, found = (
        potential.predict(potential.collate([g]))
        for g in (potential.prepare([frame])[0], potential.with_species(graph, frame.numbers))
    )
    for key in ("energies", "forces", "stresses"):
        assert torch.equal(getattr(expected, key), getattr(found, key))


@pytest.mark.parametrize(
    "change",
    [{"hidden_irreps": "4x0e+4x1o"}, {"gate": "tanh"}],
    ids=["vectors as messages", "another activation"],
)
def test_what_is_supported(change: dict[str, Any]) -> None:
    architecture = {"hidden_irreps": "4x0e", "radial_MLP": [8], "max_ell": 1} | change
    module = MACEFamily(architecture=architecture).fresh(frames(), 0).module
    assert layers.supported(module) == ("gate" in change)


def test_low_rank_changes_are_seen() -> None:
    start = MACEFamily(architecture=ARCHITECTURES["from scratch"], dtype="float64").fresh(
        frames(), 3
    )
    from mace.modules.lora import inject_LoRAs  # after the family's own import

    inject_LoRAs(start.module, rank=2, alpha=1)
    with torch.no_grad():
        for name, p in start.module.named_parameters():
            if "lora_" in name:
                p.normal_(std=0.3)
    (theirs, loss, slopes), (ours, our_loss, our_slopes) = (
        results(start),
        results(ScalarMACE(start)),
    )
    assert our_loss == pytest.approx(loss, rel=1e-12)
    assert float((theirs.forces - ours.forces).abs().max()) < 1e-10
    assert our_slopes.keys() == slopes.keys()
    assert all("lora_" in name for name in slopes)
    for key, slope in slopes.items():
        assert float((our_slopes[key] - slope).abs().max()) <= 1e-10 * float(slope.abs().max())


def test_the_two_ends_of_a_bond_know_each_other() -> None:
    # two atoms in a chain with a period of 2 Å along x, and a bond of one atom to its own image
    positions, cell = np.array([[0.0, 0, 0], [0.9, 0, 0]]), np.eye(3) * 2.0
    edges = np.array([[0, 1, 1, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0, 1]])
    shifts = np.array(
        [[0, 0, 0], [0, 0, 0], [1, 0, 0], [-1, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0]]
    )
    bonds = Bonds.of(edges, shifts, positions, cell)
    assert len(bonds.bond) == 6  # the last edge has no other direction
    assert len(bonds.first) == 3
    assert np.array_equal(bonds.reverse[bonds.reverse], np.arange(6))
    assert np.array_equal(bonds.receiver[bonds.reverse], bonds.sender)
    assert sorted(np.abs(bonds.vectors[:, 0]).round(12)) == [0.9, 1.1, 2.0]


def test_gathers_are_each_others_adjoints_twice_over() -> None:
    edges = np.array([[0, 1, 1, 2, 0, 0], [1, 0, 2, 1, 0, 0]])
    shifts = np.array([[0, 0, 0]] * 4 + [[1, 0, 0], [-1, 0, 0]])
    bonds = Bonds.of(edges, shifts, np.random.default_rng(0).random((3, 3)), np.eye(3) * 5)
    like = torch.zeros(1, dtype=torch.float64)
    slots: Slots = bond_slots([bonds, bonds], [3, 3], like)
    assert slots.width == 3
    filled = slots.sign.abs()
    generator = torch.Generator().manual_seed(1)
    atoms = torch.randn(6, 2, generator=generator, dtype=torch.float64).requires_grad_()
    of_bonds = torch.randn(6, 2, generator=generator, dtype=torch.float64).requires_grad_()

    def product(a: Any, b: Any) -> Any:
        return (expand(b, slots) ** 2 * filled * spread(a, slots).tanh()).sum()

    assert torch.autograd.gradcheck(product, (atoms, of_bonds))
    assert torch.autograd.gradgradcheck(product, (atoms, of_bonds))
