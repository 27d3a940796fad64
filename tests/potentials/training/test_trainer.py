from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

torch = pytest.importorskip("torch")

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.edges import EdgePotential  # noqa: E402
from hea_flows.potentials.potential import (  # noqa: E402
    Output,
    Potential,
    PotentialCalculator,
    periodic,
)
from hea_flows.potentials.training import trainer  # noqa: E402
from hea_flows.potentials.training.labels import read_labels, with_energies  # noqa: E402
from hea_flows.potentials.training.loss import (  # noqa: E402
    BatchLabels,
    join_labels,
    loss,
    squared_errors,
)
from hea_flows.potentials.training.schedule import (  # noqa: E402
    is_over,
    learning_rate,
    loss_weights,
    smoothed_loss,
    with_defaults,
)
from hea_flows.runtime.walltime import OutOfTimeError  # noqa: E402
from hea_flows.schemas import LossWeights, ModelSpec, TrainingSettings  # noqa: E402
from hea_flows.testing.families import check_derivatives  # noqa: E402

SETTINGS = TrainingSettings(
    epochs=6, batch_size=3, patience=0, learning_rate=0.02, seed=3, threads=1
)


class Pairs(torch.nn.Module):
    """E = Σ pairs c(ij) · gaussians(r), with a dropout that makes global random state matter."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(
                torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Dropout(dropout),
                torch.nn.Linear(16, 1),
            )  # fmt: skip
        self.calls = 0
        self.fail_at = -1

    def forward(self, vectors: Any, species: Any, centres: Any, neighbours: Any) -> Any:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        r = vectors.norm(dim=1, keepdim=True)
        basis = torch.exp(-2 * (r - torch.linspace(1.5, 4.0, 8, dtype=r.dtype)) ** 2)
        pair = self.net(basis)[:, 0] * (1 - (r[:, 0] / 4.0) ** 2) ** 2
        return r.new_zeros(len(species)).index_add(0, centres, pair)


class PairPotential(EdgePotential):
    family = "pair"

    def __init__(self, dtype: str = "float64", dropout: float = 0.1) -> None:
        super().__init__(Pairs(dropout), {"atomic_numbers": [29], "cutoff": 4.0}, dtype, "cpu")


def frames(n: int, seed: int = 0) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        atoms = bulk("Cu", cubic=bool(k % 2), a=3.6 * (1 + 0.02 * rng.standard_normal()))
        atoms.rattle(0.05, rng=rng)
        atoms.calc = EMT()
        made.append(
            with_energies([labelled(atoms)], [atoms.get_potential_energy() - 3.5 * len(atoms)])[0]
        )
    return made


def labelled(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(
        copy,
        energy=atoms.get_potential_energy(),
        free_energy=-99.0,
        forces=atoms.get_forces(),
        stress=atoms.get_stress(),
    )
    return copy


@pytest.fixture(scope="module")
def split() -> tuple[list[Atoms], list[Atoms], list[Atoms]]:
    return frames(8, 0), frames(3, 1), frames(2, 2)


def run(
    potential: PairPotential,
    split: tuple[list[Atoms], list[Atoms], list[Atoms]],
    directory: Path,
    settings: TrainingSettings = SETTINGS,
    **more: Any,
) -> Any:
    return trainer.train(potential, *split, settings, directory, **more)


def test_loss_by_hand() -> None:
    # two frames of 1 and 2 atoms; errors: 0.3 eV and 0.4 eV; one force component off by 0.6;
    # one stress component of each frame off by 0.03
    forces, stresses = torch.zeros(3, 3), torch.zeros(2, 3, 3)
    output = Output(
        torch.tensor([1.3, 2.4]), torch.tensor([1, 2]), forces.clone(), stresses.clone()
    )
    output.forces[1, 2] = 0.6
    output.stresses[:, 0, 0] = 0.03
    labels = BatchLabels(torch.tensor([1.0, 2.0]), forces, stresses)
    mean_energy = (0.3**2 + 0.2**2) / 2
    mean_forces = 0.6**2 / 9
    mean_stress = 2 * 0.03**2 / 18
    expected = 100 * mean_energy + 10 * mean_forces + 1 * mean_stress
    assert float(loss(output, labels, LossWeights())) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(6.9001)
    only = LossWeights(energy=0, forces=0, stress=2)
    assert float(loss(output, labels, only)) == pytest.approx(2 * mean_stress, rel=1e-6)


def test_targets_take_the_energy_extrapolated_to_zero_smearing(
    split: tuple[list[Atoms], ...],
) -> None:
    frame = split[0][1]
    read = read_labels(frame)
    assert read.energy == frame.calc.results["energy"] != -99.0
    assert np.array_equal(full_3x3_to_voigt_6_stress(read.stress), frame.calc.results["stress"])
    moved = with_energies([frame], [1.5])[0]
    assert moved.get_potential_energy() == 1.5
    assert frame.calc.results["energy"] == read.energy
    assert np.array_equal(moved.get_forces(), frame.get_forces())


def test_frames_without_labels_are_refused(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    bare = split[0][0].copy()
    with pytest.raises(ValueError, match="Cu: energy is None; training needs a finite one"):
        read_labels(bare)
    bare.calc = SinglePointCalculator(bare, energy=1.0, forces=np.full((1, 3), np.nan))
    with pytest.raises(ValueError, match="forces is"):
        read_labels(bare)
    bare.calc = SinglePointCalculator(bare, energy=1.0, forces=np.zeros((1, 3)))
    without = SETTINGS.model_copy(update={"weights": LossWeights(stress=0)})
    later = without.model_copy(update={"final_weights": LossWeights()})
    for settings in (SETTINGS, later):
        with pytest.raises(ValueError, match="no training frame has a stress; set the loss"):
            run(PairPotential(), ([bare], [], []), tmp_path, settings)
    with pytest.raises(ValueError, match="there are no training frames"):
        run(PairPotential(), ([], [], []), tmp_path)


def test_forces_and_stress_are_derivatives_of_the_energy(split: tuple[list[Atoms], ...]) -> None:
    check_derivatives(PotentialCalculator(PairPotential(dropout=0.0)), split[0][1], h=1e-5)


def test_learning_rate_is_half_a_cosine() -> None:
    settings = TrainingSettings(epochs=5, learning_rate=1e-2, final_learning_rate=2e-3)
    rates = [learning_rate(settings, e) for e in range(1, 6)]
    middle = 2e-3 + 4e-3
    bend = 4e-3 / math.sqrt(2)
    assert rates == pytest.approx([1e-2, middle + bend, middle, middle - bend, 2e-3])
    assert learning_rate(TrainingSettings(epochs=1, learning_rate=0.3), 1) == 0.3


RAMP = {
    "weights": LossWeights(energy=100, forces=10, stress=1),
    "final_weights": LossWeights(energy=2000, forces=10, stress=0),
}


def test_loss_weights_move_with_the_learning_rate() -> None:
    settings = TrainingSettings(epochs=3, learning_rate=1e-2, final_learning_rate=0, **RAMP)
    found = [loss_weights(settings, e) for e in (1, 2, 3)]
    assert [w.energy for w in found] == pytest.approx([100, 1050, 2000])
    assert [w.forces for w in found] == pytest.approx([10, 10, 10])
    assert [w.stress for w in found] == pytest.approx([1, 0.5, 0])
    same = TrainingSettings(epochs=3, weights=RAMP["weights"])
    assert [loss_weights(same, e) for e in (1, 2, 3)] == [same.weights] * 3


def test_the_loss_of_each_epoch_has_its_weights(
    split: tuple[list[Atoms], ...], tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 4, "max_gradient_norm": None, **RAMP})
    told = run(PairPotential(dropout=0.0), (split[0], [], []), tmp_path / "last", settings)
    by_hand = PairPotential(dropout=0.0)
    adam = torch.optim.Adam(by_hand.module.parameters(), amsgrad=True)
    graphs, labels = by_hand.prepare(split[0]), [read_labels(f) for f in split[0]]
    for epoch, share in enumerate([1, 0.75, 0.25, 0], 1):  # half a cosine over four epochs
        rate = 1e-5 + share * (0.02 - 1e-5)
        adam.param_groups[0]["lr"] = rate
        r = rate / 0.02
        weights = LossWeights(energy=100 * r + 2000 * (1 - r), forces=10, stress=r)
        for chosen in trainer.batches(len(graphs), settings, epoch):
            batch = by_hand.collate([graphs[i] for i in chosen])
            output = by_hand.predict(batch, create_graph=True)
            adam.zero_grad()
            loss(
                output, join_labels([labels[i] for i in chosen], batch.positions), weights
            ).backward()
            adam.step()
    state = model_files.load(Path(told.model.path), "pair", told.model.sha256).state
    for name, value in by_hand.module.state_dict().items():
        assert torch.allclose(state[name], value, rtol=1e-9, atol=1e-12)
    judged_by = run(PairPotential(dropout=0.0), split, tmp_path / "best", settings)
    for epoch in judged_by.curve:  # by the weights that training moves to
        assert epoch.validation_loss == pytest.approx(
            2000 * (epoch.validation_energy_mev / 1000) ** 2
            + 10 * (epoch.validation_forces_mev / 1000) ** 2
        )


def test_forces_that_count_later_are_in_the_first_training_loss(
    split: tuple[list[Atoms], ...], tmp_path: Path
) -> None:
    ramp = {"weights": LossWeights(forces=0, stress=0), "final_weights": LossWeights(stress=0)}
    settings = SETTINGS.model_copy(update={"epochs": 2, **ramp})
    first = run(PairPotential(), split, tmp_path, settings).curve[0]
    energy, forces = first.train_energy_mev / 1000, first.train_forces_mev / 1000
    assert forces > 0.1
    assert first.train_loss == pytest.approx(100 * energy**2 + 10 * forces**2)


def test_batches_depend_on_seed_and_epoch_only() -> None:
    first = trainer.batches(10, SETTINGS, 1)
    assert [len(b) for b in first] == [3, 3, 3, 1]
    assert sorted(i for b in first for i in b) == list(range(10))
    np.random.default_rng().random()
    assert trainer.batches(10, SETTINGS, 1) == first
    assert trainer.batches(10, SETTINGS, 2) != first
    assert trainer.batches(10, SETTINGS.model_copy(update={"seed": 4}), 1) != first


def test_a_small_set_is_fitted(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 150})
    seen: list[int] = []
    result = run(
        PairPotential(dropout=0.0),
        split,
        tmp_path,
        settings,
        on_epoch=lambda e: seen.append(e.epoch),
    )
    assert seen == [e.epoch for e in result.curve] == list(range(1, 151))
    assert result.curve[0].train_loss > 50
    assert result.curve[-1].train_loss < 0.2
    assert result.errors["train"].energy_mev < 20
    assert result.errors["train"].forces_mev < 150


def test_errors_are_those_of_the_file(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    result = run(PairPotential(), split, tmp_path)
    fresh = PairPotential()
    loaded = model_files.load(Path(result.model.path), "pair", result.model.sha256)
    fresh.module.load_state_dict(loaded.state)
    for name, part in zip(("train", "validation", "test"), split, strict=True):
        told = fresh.evaluate(part, batch_size=5)
        labels = [f.calc.results for f in part]
        energy = [
            (p.energy - x["energy"]) / len(p.forces) for p, x in zip(told, labels, strict=True)
        ]
        forces = np.concatenate(
            [(p.forces - x["forces"]).ravel() for p, x in zip(told, labels, strict=True)]
        )
        stress = np.array([read_labels(f).stress for f in part]) - np.array(
            [
                [[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]]
                for s in (p.stress for p in told)
            ]
        )
        errors = result.errors[name]
        assert errors.n_frames == len(part)
        for value, difference in (
            (errors.energy_mev / 1000, np.array(energy)),
            (errors.forces_mev / 1000, forces),
            (errors.stress, stress),
        ):
            assert value == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-9)


def test_the_best_validation_epoch_is_kept(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    # labels of the validation set that get worse while training: the parent's own
    start = PairPotential(dropout=0.0)
    own = []
    for frame, told in zip(split[1], start.evaluate(split[1]), strict=True):
        copy = frame.copy()
        copy.calc = SinglePointCalculator(
            copy, energy=told.energy, forces=told.forces, stress=told.stress
        )
        own.append(copy)
    result = run(start, (split[0], own, []), tmp_path)
    losses = [
        100 * (e.validation_energy_mev / 1000) ** 2
        + 10 * (e.validation_forces_mev / 1000) ** 2
        + e.validation_stress**2
        for e in result.curve
    ]
    assert losses == pytest.approx([e.validation_loss for e in result.curve], rel=1e-12)
    assert result.best_epoch == 1 + int(np.argmin(losses)) == 1
    assert set(result.errors) == {"train", "validation"}
    assert result.errors["validation"].forces_mev == pytest.approx(
        result.curve[0].validation_forces_mev
    )


def test_without_validation_the_last_epoch_is_kept(
    split: tuple[list[Atoms], ...], tmp_path: Path
) -> None:
    result = run(PairPotential(), (split[0], [], []), tmp_path)
    assert result.best_epoch == SETTINGS.epochs
    assert math.isnan(result.curve[-1].validation_energy_mev)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("where", ["between epochs", "within an epoch"])
def test_an_interrupted_run_ends_bit_identical(
    split: tuple[list[Atoms], ...], tmp_path: Path, dtype: str, where: str
) -> None:
    whole = run(PairPotential(dtype), split, tmp_path / "whole")
    rng = np.random.default_rng([17, len(where)])
    stop = int(rng.integers(2, SETTINGS.epochs))
    broken = PairPotential(dtype)

    def interrupt(epoch: Any) -> None:
        if epoch.epoch == stop and where == "between epochs":
            raise KeyboardInterrupt
        if epoch.epoch == stop - 1 and where == "within an epoch":
            broken.module.fail_at = broken.module.calls + 2

    with pytest.raises(KeyboardInterrupt):
        run(broken, split, tmp_path / "broken", on_epoch=interrupt)
    assert not (tmp_path / "broken" / trainer.MODEL_FILE).exists()
    torch.manual_seed(int(rng.integers(1000)))  # global random state does not matter
    done: list[int] = []
    resumed = run(
        PairPotential(dtype), split, tmp_path / "broken", on_epoch=lambda e: done.append(e.epoch)
    )
    first = stop + 1 if where == "between epochs" else stop
    assert done == list(range(first, SETTINGS.epochs + 1))
    assert resumed.model.sha256 == whole.model.sha256
    assert resumed.best_epoch == whole.best_epoch
    assert [e.model_dump(exclude={"seconds"}) for e in resumed.curve] == [
        e.model_dump(exclude={"seconds"}) for e in whole.curve
    ]
    assert resumed.errors == whole.errors
    assert run(PairPotential(dtype), split, tmp_path / "broken").model == resumed.model


def test_seeds_decide(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    other = SETTINGS.model_copy(update={"seed": 4})
    sha = [
        run(PairPotential(), split, tmp_path / str(i), s).model.sha256
        for i, s in enumerate((SETTINGS, SETTINGS, other))
    ]
    assert sha[0] == sha[1] != sha[2]


def test_the_state_of_another_run_is_refused(
    split: tuple[list[Atoms], ...], tmp_path: Path
) -> None:
    run(PairPotential(), split, tmp_path)
    for change in ({"learning_rate": 0.01}, {"epochs": 7}, {"weights": LossWeights(stress=0)}):
        with pytest.raises(ValueError, match="belongs to a run with other frames, settings"):
            run(PairPotential(), split, tmp_path, SETTINGS.model_copy(update=change))
    with pytest.raises(ValueError, match="belongs to a run with other frames, settings"):
        run(PairPotential(), (split[0][:-1], split[1], split[2]), tmp_path)
    moved = with_energies(split[0], [f.get_potential_energy() + 0.1 for f in split[0]])
    with pytest.raises(ValueError, match="belongs to a run with other frames, settings"):
        run(PairPotential(), (moved, split[1], split[2]), tmp_path)


def test_a_diverging_run_says_so(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e200, "max_gradient_norm": None})
    with pytest.raises(ArithmeticError, match=r"the loss became (nan|inf) in epoch 1; lower the"):
        run(PairPotential(), split, tmp_path, settings)


def test_derivatives_without_weight_are_not_computed(
    split: tuple[list[Atoms], ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def spy(self: Any, batch: Any, **kwargs: Any) -> Any:
        if kwargs.get("create_graph"):
            asked.append((kwargs["forces"], kwargs["stress"]))
        return Potential.predict(self, batch, **kwargs)

    monkeypatch.setattr(PairPotential, "predict", spy)
    settings = SETTINGS.model_copy(update={"weights": LossWeights(forces=0, stress=0), "epochs": 1})
    result = run(PairPotential(), split, tmp_path, settings)
    assert set(asked) == {(False, False)}
    assert result.errors["test"].forces_mev > 0  # still reported


def test_threads_are_set_back(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen = []
    run(
        PairPotential(),
        split,
        tmp_path,
        SETTINGS.model_copy(update={"threads": before + 1, "epochs": 1}),
        on_epoch=lambda _: seen.append(torch.get_num_threads()),
    )
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_the_file_says_where_it_comes_from(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    parent = ModelSpec(family="pair", name="p", path=str(tmp_path / "secret"), sha256="ab" * 32)
    result = run(PairPotential(), split, tmp_path, parent=parent)
    meta = model_files.load(Path(result.model.path), "pair").meta
    assert meta["parent"]["sha256"] == "ab" * 32
    assert "path" not in meta["parent"]
    assert meta["settings"]["weights"] == {"energy": 100.0, "forces": 10.0, "stress": 1.0}
    assert meta["best_epoch"] == result.best_epoch
    assert result.model.dtype == "float64"


def test_layers_become_periodic_but_images_must_not_touch() -> None:
    slab = Atoms("Cu2", [[0, 0, 3], [1.5, 1.5, 5]], cell=[3, 3, 10], pbc=(True, True, False))
    made = periodic(slab, 7.9)
    assert all(made.pbc)
    assert np.array_equal(made.cell.array, slab.cell.array)
    with pytest.raises(ValueError, match=r"Cu2: 8\.0 Å between images along cell vector 3"):
        periodic(slab, 8.1)
    slab.cell[2] = 0
    with pytest.raises(ValueError, match="Cu2: the potentials need three cell vectors"):
        periodic(slab, 3.0)
    for array in (slab.positions, slab.cell.array):  # no atom far from all others
        array[0, 1] = np.nan
        with pytest.raises(ValueError, match="Cu2: a position or cell vector is not a finite"):
            periodic(slab, 3.0)
        slab.positions[0, 1] = 0.0


def test_labels_are_joined_in_order(split: tuple[list[Atoms], ...]) -> None:
    labels = join_labels(
        [read_labels(f) for f in split[0][:2]], torch.zeros(1, dtype=torch.float32)
    )
    assert labels.energies.dtype == torch.float32
    assert labels.forces.shape == (5, 3)
    assert torch.equal(labels.forces[1:], torch.tensor(split[0][1].get_forces()).float())


def without_stress(frame: Atoms) -> Atoms:
    copy = frame.copy()
    results = {k: v for k, v in frame.calc.results.items() if k != "stress"}
    copy.calc = SinglePointCalculator(copy, **results)
    return copy


def test_a_frame_without_stress_counts_in_energy_and_forces_alone() -> None:
    """As `test_loss_by_hand`; the second frame, of weight 3, has no stress."""
    output = Output(
        torch.tensor([1.3, 2.4]), torch.tensor([1, 2]), torch.zeros(3, 3), torch.zeros(2, 3, 3)
    )
    output.stresses[:, 0, 0] = 0.03
    atoms = [Atoms("Cu"), Atoms("Cu2")]
    results = {"energy": 1.0, "stress": np.zeros(6)}, {"energy": 2.0}
    for frame, told in zip(atoms, results, strict=True):
        forces = np.zeros((len(frame), 3))
        frame.calc = SinglePointCalculator(frame, forces=forces, **told)
    first, second = (read_labels(frame) for frame in atoms)
    assert (first.has_stress, second.has_stress) == (True, False)
    labels = join_labels([first, replace(second, weight=3.0)], torch.zeros(1))
    errors = squared_errors(output, labels)
    assert (errors.n_energy, errors.n_forces, errors.n_stress) == (2, 9, 9)
    expected = 100 * (0.3**2 + 3 * 0.2**2) / 2 + 0.03**2 / 9
    assert float(errors.loss(LossWeights())) == pytest.approx(expected, rel=1e-6)
    neither = join_labels([read_labels(without_stress(atoms[0])), second], torch.zeros(1))
    assert squared_errors(output, neither).n_stress == 0
    assert float(loss(output, neither, LossWeights(energy=0, forces=0))) == 0.0


def test_training_goes_on_with_frames_that_have_no_stress(
    split: tuple[list[Atoms], ...], tmp_path: Path
) -> None:
    train, validation, test = split
    some = [*map(without_stress, train[:3]), *train[3:]]
    result = run(PairPotential(), (some, [*map(without_stress, validation)], test), tmp_path / "a")
    assert np.isfinite([e.train_loss for e in result.curve]).all()
    assert np.isfinite([e.validation_loss for e in result.curve]).all()
    assert np.isfinite(result.errors["train"].stress)
    assert np.isnan(result.errors["validation"].stress)
    weights = LossWeights(stress=0)
    settings = SETTINGS.model_copy(update={"weights": weights})
    curves = [
        run(PairPotential(), (frames, validation, test), tmp_path / name, settings).curve
        for name, frames in (("b", [*map(without_stress, train)]), ("c", train))
    ]
    assert [e.train_loss for e in curves[0]] == [e.train_loss for e in curves[1]]


def test_batch_epochs_and_patience_by_the_size_of_the_set() -> None:
    found = {n: with_defaults(TrainingSettings(), n) for n in (1, 44, 101, 1000, 4000, 100_000)}
    assert [s.batch_size for s in found.values()] == [2, 4, 4, 16, 32, 32]
    # 4000 steps: 11, 26, 63, 125 and 3125 steps make an epoch
    assert [s.epochs for s in found.values()] == [200, 200, 154, 64, 32, 20]
    assert [s.patience for s in found.values()] == [100, 100, 77, 32, 20, 20]
    given = with_defaults(TrainingSettings(epochs=7, batch_size=5, patience=0), 1000)
    assert (given.epochs, given.batch_size, given.patience) == (7, 5, 0)
    assert with_defaults(TrainingSettings(batch_size=10), 1000).epochs == 40


def test_a_lucky_epoch_is_not_the_best() -> None:
    losses = [5.0, 4.0, 1.0, 4.0, 3.0, 2.0, 2.0, 9.0]
    scores = [smoothed_loss(losses[: i + 1]) for i in range(len(losses))]
    assert scores == [5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 2.0, 9.0]


def test_training_ends_when_patience_does() -> None:
    settings = TrainingSettings(epochs=9, patience=3)
    assert [is_over(settings, e, 2) for e in (2, 4, 5, 6)] == [False, False, True, True]
    assert is_over(settings, 9, 9)
    assert not is_over(settings.model_copy(update={"patience": 0}), 8, 1)


def test_an_early_stop_keeps_the_best_epoch_also_when_interrupted(
    split: tuple[list[Atoms], ...], tmp_path: Path
) -> None:
    def start() -> tuple[PairPotential, list[Atoms]]:
        potential = PairPotential(dropout=0.0)
        told = potential.evaluate(split[1])
        own = [f.copy() for f in split[1]]
        for copy, x in zip(own, told, strict=True):
            copy.calc = SinglePointCalculator(
                copy, energy=x.energy, forces=x.forces, stress=x.stress
            )
        return potential, own

    settings = SETTINGS.model_copy(update={"patience": 2})
    potential, own = start()
    whole = run(potential, (split[0], own, []), tmp_path / "whole", settings)
    assert [e.epoch for e in whole.curve] == [1, 2, 3]
    assert whole.best_epoch == 1
    assert whole.settings.patience == 2

    def stop(epoch: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(start()[0], (split[0], own, []), tmp_path / "broken", settings, on_epoch=stop)
    again = run(start()[0], (split[0], own, []), tmp_path / "broken", settings)
    assert again.model.sha256 == whole.model.sha256
    assert len(again.curve) == 3


def test_the_curve_holds_every_split(split: tuple[list[Atoms], ...], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 8, "learning_rate": 1e-12})
    result = run(PairPotential(dropout=0.0), split, tmp_path, settings)
    [epoch] = result.curve  # one batch and nearly no step: before and after are the same
    for name in ("train", "validation", "test"):
        summary = result.errors[name]
        for quantity in ("energy_mev", "forces_mev", "stress"):
            told = getattr(epoch, f"{name}_{quantity}")
            assert told == pytest.approx(getattr(summary, quantity), rel=1e-6)


def test_training_stops_before_the_batch_job_ends(
    split: tuple[list[Atoms], ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(PairPotential(), split, tmp_path / "whole")
    left = {"seconds": 1000.0}
    monkeypatch.setattr(trainer, "seconds_left", lambda: left["seconds"])

    def passes(epoch: Any) -> None:
        if epoch.epoch == 2:
            left["seconds"] = 29.0

    folder = tmp_path / "parts"
    with pytest.raises(OutOfTimeError, match=r"29 s are left .* resumes after epoch 2"):
        run(PairPotential(), split, folder, on_epoch=passes)
    with pytest.raises(OutOfTimeError, match="after epoch 2"):  # not even one more in this job
        run(PairPotential(), split, folder)
    left["seconds"] = 1000.0
    done: list[int] = []
    result = run(PairPotential(), split, folder, on_epoch=lambda e: done.append(e.epoch))
    assert done == [3, 4, 5, 6]
    assert result.model.sha256 == whole.model.sha256


def test_what_a_killed_writer_left_is_removed(
    split: tuple[list[Atoms], ...], tmp_path: Path
) -> None:
    left = tmp_path / f".{trainer.STATE_FILE}.abc123"
    left.write_bytes(b"half")
    run(PairPotential(), split, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "training.pt"]
