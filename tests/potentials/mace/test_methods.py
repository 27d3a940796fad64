"""Frozen parts, low-rank additions and replay of MACE, against what each means."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

torch = pytest.importorskip("torch")
if find_spec("mace") is None:
    pytest.skip("mace-torch is not installed", allow_module_level=True)

from hea_flows.alloy import stream  # noqa: E402
from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.mace import (  # noqa: E402
    methods,
    modules,
)
from hea_flows.potentials.mace.family import MACEFamily  # noqa: E402
from hea_flows.potentials.mace.potential import MACEPotential  # noqa: E402
from hea_flows.potentials.training.labels import read_labels, with_energies  # noqa: E402
from hea_flows.runtime.extxyz import write_frames  # noqa: E402
from hea_flows.schemas import LossWeights, ModelSpec, TrainingSettings  # noqa: E402

SMALL = {"hidden_irreps": "8x0e", "max_ell": 1, "radial_MLP": [16], "r_max": 4.0, "correlation": 2}
FAMILY = MACEFamily(architecture=SMALL, dtype="float64")
SETTINGS = TrainingSettings(epochs=3, batch_size=3, learning_rate=0.01, seed=1, threads=1)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def frames(n: int, seed: int) -> list[Atoms]:
    made = []
    for k in range(n):
        atoms = bulk(("Cu", "Au")[k % 2], "fcc", a=3.8 + 0.02 * (k % 3), cubic=True)
        atoms.symbols[0] = "Cu"
        atoms.rattle(0.05, seed=seed + k)
        atoms.calc = EMT()
        made.append(atoms)
    for atoms in made:
        results = {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(),
        }
        atoms.calc = SinglePointCalculator(atoms, **results)
    return made


@pytest.fixture(scope="module")
def split() -> tuple[list[Atoms], list[Atoms], list[Atoms]]:
    return frames(6, 0), frames(2, 20), frames(2, 30)


def small() -> MACEPotential:
    return FAMILY.fresh(frames(4, 50), seed=4)


def foundation_like() -> MACEPotential:
    """A model as MACE-MP-0b2 is made: density blocks, Agnesi transform, pair repulsion, E0."""
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
            }
        )
        | {
            "atomic_numbers": [29, 79],
            "atomic_energies": [[-1.0, -2.0]],
            "avg_num_neighbors": 17.0,
            "atomic_inter_scale": [0.8],
            "atomic_inter_shift": [0.1],
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return MACEPotential(modules.build(config), config, "float64", "cpu")


@cache
def original(make: Any) -> MACEPotential:
    """A parent that nobody changes; building one is what these tests spend their time on."""
    potential: MACEPotential = make()
    return potential


PARENTS = pytest.mark.parametrize("make", [small, foundation_like])


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    path = tmp_path_factory.mktemp("parent") / "parent.pt"
    sha256 = model_files.save(path, original(small).checkpoint())
    return ModelSpec(family="mace", path=str(path), sha256=sha256, dtype="float64")


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Eight frames of the same elements whose energies are 5 eV per atom lower, and a stranger."""
    path = tmp_path_factory.mktemp("replay") / "replay.extxyz"
    made = frames(8, 40)
    lower = with_energies(made, [f.get_potential_energy() - 5 * len(f) for f in made])
    stranger = frames(1, 60)[0]
    stranger.symbols[1] = "Pt"
    write_frames(path, [*lower[:4], stranger, *lower[4:]])
    sha256 = model_files.verify(path, None)
    return {"kind": "replay", "file": str(path), "sha256": sha256, "frames": 4, "seed": 2}


def by(method: Any, **changes: Any) -> TrainingSettings:
    return TrainingSettings.model_validate(SETTINGS.model_dump() | {"method": method} | changes)


def state(spec: ModelSpec) -> dict[str, Any]:
    return dict(model_files.load(Path(spec.path or ""), "mace").state)


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def disturb(potential: MACEPotential) -> None:
    """Move everything that is trained, as a training would."""
    torch.manual_seed(11)
    with torch.no_grad():
        for parameter in potential.module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))


def same(a: MACEPotential, b: MACEPotential, atoms: list[Atoms], tolerance: float) -> bool:
    """Compare all predictions (eV, eV/Å, eV/Å³)."""
    return all(
        np.abs(p.energy - q.energy) < tolerance
        and np.abs(p.forces - q.forces).max() < tolerance
        and np.abs(p.stress - q.stress).max() < tolerance
        for p, q in zip(a.evaluate(atoms), b.evaluate(atoms), strict=True)
    )


def kept(potential: MACEPotential) -> MACEPotential:
    """Return the plain model that the checkpoint holds."""
    checkpoint = potential.checkpoint()
    module = modules.build(checkpoint.config)
    module.load_state_dict(checkpoint.state)
    return MACEPotential(module, checkpoint.config, "float64", "cpu")


@pytest.mark.parametrize(
    ("through", "free"),
    [
        ("embedding", ("interactions", "products", "readouts")),
        ("interactions", ("products", "readouts")),
        ("products", ("readouts",)),
    ],
)
def test_frozen_parts_stay_bit_identical(
    split: Any, parent: ModelSpec, tmp_path: Path, through: str, free: tuple[str, ...]
) -> None:
    settings = by({"kind": "frozen", "through": through}, epochs=1)
    result = FAMILY.train(parent, *split, settings, tmp_path)
    learned = {n for n, p in original(small).module.named_parameters() if p.numel()}
    expected = {n for n in learned if n.startswith(free)}
    assert changed(state(parent), state(result.model)) == expected
    assert expected < learned


@PARENTS
def test_low_rank_additions_are_nothing_at_first_and_merge_exactly(make: Any) -> None:
    adapted, atoms = make(), frames(3, 70)
    before = dict(original(make).module.state_dict())
    methods.prepare(adapted, by({"kind": "lora", "rank": 2, "alpha": 3.0}))
    assert same(adapted, original(make), atoms, 1e-10)
    disturb(adapted)
    assert not same(adapted, original(make), atoms, 1e-3)
    merged = kept(adapted)
    assert same(adapted, merged, atoms, 1e-10)
    moved = changed(before, dict(merged.module.state_dict()))
    linear = ("linear", "conv_tp_weights", "density_fn", "readouts")
    assert all(any(word in name for word in linear) for name in moved)
    assert not [n for n in moved if "skip_tp" in n or "symmetric_contractions" in n]


def test_low_rank_additions_are_as_many_as_their_matrices() -> None:
    """Rank times inputs plus outputs of every linear map; here all carry scalars only, but one."""
    potential = small()
    methods.prepare(potential, by({"kind": "lora", "rank": 3}))
    channels, elements, readout, radial, bessel = 8, 2, 16, 16, 8
    sizes = [(elements, channels)]
    for angular in (2, 2):  # 0e and 1o paths of the convolution; outputs 8x0e+8x1o
        sizes += [(channels, channels), (bessel, radial), (radial, angular * channels)]
        sizes += [(channels, channels)] * 2  # linear, on 0e and 1o
        sizes += [(channels, channels)]  # product
    sizes += [(channels, 1), (channels, readout), (readout, 1)]
    trained = sum(p.numel() for p in potential.module.parameters() if p.requires_grad)
    assert trained == 3 * sum(a + b for a, b in sizes)


@PARENTS
def test_both_heads_are_the_parent_and_one_of_them_is_kept(make: Any) -> None:
    double, atoms = make(), frames(3, 70)
    methods.prepare(double, by({"kind": "replay", "file": "-"}))
    assert same(double, original(make), atoms, 1e-10)
    assert same(double, original(make), methods.of_replay(atoms), 1e-10)
    disturb(double)
    single = kept(double)
    assert single.config == original(make).config
    assert same(double, single, atoms, 1e-10)
    other = zip(double.evaluate(methods.of_replay(atoms)), single.evaluate(atoms), strict=True)
    assert min(abs(p.energy - q.energy) for p, q in other) > 1e-3


def test_a_step_with_replay_is_adam_on_the_weighted_loss(
    split: Any, parent: ModelSpec, replay: dict[str, Any], tmp_path: Path
) -> None:
    """One batch of both heads, against a loss and a step written out here."""
    weights = LossWeights(energy=3.0, forces=2.0, stress=50.0)
    settings = by(
        replay | {"weight": 0.3},
        epochs=1,
        batch_size=10,
        weights=weights.model_dump(),
        max_gradient_norm=None,
    )
    trained = FAMILY.train(parent, *split, settings, tmp_path)
    drawn = methods.of_replay(_drawn(replay))

    double = FAMILY.load(parent)
    methods.prepare(double, settings)
    both = [*split[0], *drawn]
    labels = [read_labels(f) for f in both]
    output = double.predict(double.collate(double.prepare(both)), create_graph=True)
    count = [1.0] * 6 + [0.3] * 4
    value: Any = 0.0
    at = 0
    for w, frame, label, energy, stress in zip(
        count, both, labels, output.energies, output.stresses, strict=True
    ):
        n = len(frame)
        forces = output.forces[at : at + n] - torch.tensor(label.forces)
        at += n
        value = value + w * 3.0 * ((energy - label.energy) / n) ** 2 / 10
        value = value + w * 2.0 * (forces**2).sum() / (3 * sum(len(f) for f in both))
        value = value + w * 50.0 * ((stress - torch.tensor(label.stress)) ** 2).sum() / 90
    optimizer = torch.optim.Adam(double.module.parameters(), lr=0.01, amsgrad=True)
    value.backward()
    optimizer.step()
    assert trained.curve[0].train_loss == pytest.approx(value.item(), rel=1e-10)
    expected, found = double.checkpoint().state, state(trained.model)
    assert len(changed(state(parent), found)) > 10
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-9)
    told = zip(double.evaluate(drawn), drawn, strict=True)
    rmse = np.sqrt(
        np.mean([((p.energy - f.get_potential_energy()) / len(f)) ** 2 for p, f in told])
    )
    assert trained.errors["replay"].n_frames == 4
    assert trained.errors["replay"].energy_mev == pytest.approx(1e3 * rmse, rel=1e-9)
    assert trained.errors["train"].n_frames == 6


def _drawn(replay: dict[str, Any]) -> list[Atoms]:
    """The frames that seed 2 chooses of the eight known ones."""
    chosen = sorted(stream(2, "replay").choice(8, 4, replace=False).tolist())
    made = frames(8, 40)
    return [
        with_energies([made[i]], [made[i].get_potential_energy() - 5 * len(made[i])])[0]
        for i in chosen
    ]


@pytest.mark.parametrize("kind", ["lora", "replay"])
def test_an_interrupted_run_ends_bit_identical(
    split: Any, parent: ModelSpec, replay: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    """Also if the replay file lies elsewhere by then; not by another method."""
    elsewhere = tmp_path / "elsewhere.extxyz"
    elsewhere.write_bytes(Path(replay["file"]).read_bytes())
    moved = replay | {"file": str(elsewhere), "sha256": None}
    first, second = (by(m if kind == "replay" else kind) for m in (replay, moved))
    whole = FAMILY.train(parent, *split, first, tmp_path / "whole")

    def interrupt(epoch: Any) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FAMILY.train(parent, *split, first, tmp_path / "broken", interrupt)
    with pytest.raises(ValueError, match="belongs to a run with other frames, settings or parent"):
        FAMILY.train(parent, *split, by("all"), tmp_path / "broken")
    resumed = FAMILY.train(parent, *split, second, tmp_path / "broken")
    assert resumed.model.sha256 == whole.model.sha256
    meta = model_files.load(Path(whole.model.path or ""), "mace").meta
    assert meta["settings"]["method"]["kind"] == kind
    assert len(changed(state(parent), state(whole.model))) > 3


def test_an_untrained_model_has_features_of_unit_size_for_any_number_of_elements() -> None:
    many = FAMILY.fresh(frames(2, 0), seed=0, elements=set(range(1, 90)))
    species = torch.eye(89, dtype=torch.float64)
    features = many.module.node_embedding(species)
    assert float(features.detach().pow(2).mean().sqrt()) == pytest.approx(1.0, abs=0.1)


def test_energies_per_element_can_move_into_the_model(tmp_path: Path) -> None:
    for potential in (small(), foundation_like()):
        atoms = frames(3, 80)
        before = potential.evaluate(atoms)
        potential.add_atomic_energies({"Cu": -3.0, "Au": 0.5, "Ni": 9.0})
        after = kept(potential).evaluate(atoms)
        for frame, p, q in zip(atoms, before, after, strict=True):
            symbols = frame.get_chemical_symbols()
            moved = -3.0 * symbols.count("Cu") + 0.5 * symbols.count("Au")
            assert q.energy - p.energy == pytest.approx(moved, abs=1e-10)
            np.testing.assert_allclose(q.forces, p.forces, atol=1e-12)
