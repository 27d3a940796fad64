"""Checks of a model family: that it does what the rest of the package asks of it.

`check_family` is all of them. They need no test framework and raise `AssertionError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sampling import AseEnergies
from hea_flows.potentials import Family, Prediction
from hea_flows.potentials.training import with_energies
from hea_flows.schemas import Epoch, ModelSpec, TrainingSettings

ALLOY = Alloy(("Mo", "Nb", "V"))
SETTINGS = TrainingSettings(epochs=3, batch_size=2, learning_rate=2e-3, seed=1, threads=1)
Numbers = float | NDArray[np.float64]
_UNIT = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_TWO = ((2, 0, 0), (0, 1, 0), (0, 0, 1))


def check_family(
    family: Family,
    directory: Path,
    *,
    model: ModelSpec | None = None,
    trains: bool = True,
    alloy: Alloy = ALLOY,
    settings: TrainingSettings = SETTINGS,
) -> ModelSpec:
    """Check a family: predictions, symmetries, derivatives, lattices, model files, training.

    An atom without neighbours has an energy, or is refused in one line.

    Parameters
    ----------
    family
        The family.
    directory
        An empty folder for runs and model files.
    model
        Model to check, and to fine-tune; without, one is trained from scratch and checked.
    trains
        Whether the family trains models; if not, `model` is needed.
    alloy
        A host whose elements the model knows.
    settings
        Of the short training runs; they must lower the loss.

    Returns
    -------
    ModelSpec
        The trained model, or `model` of a family that does not train.

    Raises
    ------
    AssertionError
        If one of them fails.
    """
    trained = check_training(family, model, directory, alloy, settings) if trains else None
    checked = model or trained
    assert checked is not None, "a family that does not train is checked with a model"
    check_model_files(family, checked, directory)
    check_predictions(family, checked, alloy)
    exact = checked.model_copy(update={"dtype": "float64"})
    check_symmetries(family, exact, alloy)
    check_without_neighbours(family, exact, alloy)
    check_derivatives(family.calculator(exact), distorted_cell(alloy.elements[1], 3, alloy))
    check_lattice(family, exact, alloy)
    return trained or checked


def distorted_cell(element: str, seed: int, alloy: Alloy = ALLOY) -> Atoms:
    """Return a strained and rattled unit cell of a host, or two if a unit is a single atom."""
    cell = _UNIT if alloy.host.atoms_per_cell > 1 else _TWO
    atoms = Ordering(alloy, cell, (element,) * alloy.n_sites(cell)).to_atoms()
    atoms.set_cell(atoms.cell.array * [[1 + 0.01 * (seed % 3)], [1], [1]], scale_atoms=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


def labelled_frames(n: int, seed: int = 0, alloy: Alloy = ALLOY) -> list[Atoms]:
    """Return distorted cells of the alloy's elements in turn, labelled with a Morse potential."""
    elements = alloy.elements
    frames = [distorted_cell(elements[k % len(elements)], seed + k, alloy) for k in range(n)]
    for atoms in frames:
        atoms.calc = MorsePotential(epsilon=0.5, r0=2.4, rho0=3.0, rcut1=3.0, rcut2=3.9)
        energy = atoms.get_potential_energy() + 3.0
        forces, stress = atoms.get_forces(), atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
    return frames


def check_predictions(family: Family, model: ModelSpec, alloy: Alloy = ALLOY) -> None:
    """Compare batches, the evaluator, and the calculator, also while species change."""
    first, second, third = (alloy.elements[i % len(alloy.elements)] for i in range(3))
    large = distorted_cell(second, 2, alloy).repeat((2, 2, 1))
    large.symbols[0] = first
    structures = [distorted_cell(first, 1, alloy), large, distorted_cell(third, 3, alloy)]
    predictions = family.evaluate(model, structures, batch_size=2)
    for ours, again in zip(predictions, family.evaluator(model)(structures), strict=True):
        _assert_equal(again, ours, "the evaluator differs from evaluate")
    calculator = family.calculator(model)
    check_calculator(family, model, calculator, structures)
    atoms = large.copy()
    atoms.calc = calculator
    for element in (second, third, first):  # as a Monte Carlo chain does
        atoms.symbols[0] = element
        [expected] = family.evaluate(model, [atoms])
        _assert_equal(_calculated(atoms), expected, "the calculator does not follow a swap")


def check_calculator(
    family: Family, model: ModelSpec, calculator: Calculator, structures: Sequence[Atoms]
) -> None:
    """Compare the predictions of a family with a calculator, for example of its own program."""
    for atoms, prediction in zip(
        structures, family.evaluate(model, structures, batch_size=3), strict=True
    ):
        copy = atoms.copy()
        copy.pbc = True  # their neighbour lists may change the cell, hence the stress, of a layer
        calculator.reset()
        copy.calc = calculator
        _assert_equal(_calculated(copy), prediction, "the calculator differs from evaluate")


def check_symmetries(family: Family, model: ModelSpec, alloy: Alloy = ALLOY) -> None:
    """Check that energies are extensive, and know no order, origin, direction or vacuum."""
    atoms = distorted_cell(alloy.elements[0], 4, alloy)
    n = len(atoms)
    order = np.random.default_rng(0).permutation(n)
    moved, turned = atoms.copy(), atoms.copy()
    moved.translate([0.7, 0.4, 0.0])
    moved.wrap(pbc=[True, True, False])
    turned.rotate(73.0, (1, 2, 3), rotate_cell=True)
    matrix = np.linalg.solve(atoms.cell.array, turned.cell.array)
    one, many, permuted, shifted, rotated = family.evaluate(
        model, [atoms, atoms.repeat((2, 2, 1)), atoms[order], moved, turned]
    )
    _close(many.energy, 4 * one.energy, "energies are not extensive", 4e-5)
    _close(many.forces, np.tile(one.forces, (4, 1)), "forces of a repeated cell differ")
    _close(many.stress, one.stress, "the stress of a repeated cell differs")
    _close(permuted.energy, one.energy, "the energy depends on the order of atoms")
    _close(permuted.forces, one.forces[order], "forces do not follow the order of atoms")
    _close(shifted.energy, one.energy, "the energy depends on the origin")
    _close(rotated.energy, one.energy, "the energy depends on the direction")
    _close(rotated.forces, one.forces @ matrix, "forces do not turn with the atoms")
    if not all(alloy.pbc):
        _check_vacuum(family, model, atoms, one)


def _check_vacuum(family: Family, model: ModelSpec, atoms: Atoms, one: Prediction) -> None:
    tall, flat, whole = atoms.copy(), atoms.copy(), atoms.copy()
    tall.cell[2, 2] += 5.0
    flat.cell[2, 2] = np.ptp(atoms.positions[:, 2]) + 0.5
    whole.pbc = True
    taller, periodic = family.evaluate(model, [tall, whole])
    _close(taller.energy, one.energy, "the energy depends on the vacuum")
    _close(periodic.energy, one.energy, "images of a layer see each other through its vacuum")
    volumes = tall.cell.volume / atoms.cell.volume
    _close(taller.stress * volumes, one.stress, "the stress is not per volume of the cell")
    try:
        [flatter] = family.evaluate(model, [flat])
    except ValueError as error:
        _one_line(error)
    else:
        _close(flatter.energy, one.energy, "images of a layer see each other across a gap")


def check_without_neighbours(family: Family, model: ModelSpec, alloy: Alloy = ALLOY) -> None:
    """Check atoms out of each other's sight: each alone, two in one cell, in a batch with others.

    A family may refuse them with a `ValueError`.
    """
    first, last = alloy.elements[0], alloy.elements[-1]
    alone = [Atoms([e], cell=[40.0] * 3, pbc=True) for e in (first, last)]
    both = Atoms([first, last], [[0.0] * 3, [20.0] * 3], cell=[40.0] * 3, pbc=True)
    crystal = distorted_cell(first, 1, alloy)
    try:
        [one], [other] = (family.evaluate(model, [atoms]) for atoms in alone)
    except ValueError as error:
        _one_line(error)
        return
    pair, *batch = family.evaluate(model, [both, crystal, alone[0]])
    _close(pair.energy, one.energy + other.energy, "two atoms out of sight have another energy")
    for prediction in (one, other, pair):
        _close(prediction.forces, np.zeros_like(prediction.forces), "an atom pulls on nothing")
        _close(prediction.stress, np.zeros(6), "an atom without neighbours has a stress")
    for ours, expected in zip(batch, [*family.evaluate(model, [crystal]), one], strict=True):
        _assert_equal(ours, expected, "a frame without neighbours changes its batch")


def check_derivatives(calculator: Calculator, atoms: Atoms, h: float = 1e-4) -> None:
    """Compare forces and stress of a float64 model with central differences of its energy."""
    prediction = _calculated(atoms, calculator)

    def slope(move: Callable[[Atoms, float], None]) -> float:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            move(moved, sign * h)
            moved.calc = calculator
            energies.append(moved.get_potential_energy())
        return float(energies[0] - energies[1]) / (2 * h)

    largest, stress = abs(prediction.forces).max(), abs(prediction.stress).max()
    assert largest > 1e-6, "the forces are too small to be checked"
    for i, k in ((0, 0), (1, 2), (len(atoms) - 1, 1)):

        def shift(moved: Atoms, step: float, i: int = i, k: int = k) -> None:
            moved.positions[i, k] += step

        words = "forces are not derivatives of the energy"
        _close(prediction.forces[i, k], -slope(shift), words, 1e-4 * largest)
    for voigt, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):

        def strain(moved: Atoms, step: float, a: int = a, b: int = b) -> None:
            matrix = np.eye(3)
            matrix[a, b] += step / 2
            matrix[b, a] += step / 2
            moved.set_cell(moved.cell.array @ matrix, scale_atoms=True)

        words = "the stress is no derivative of the energy"
        _close(
            prediction.stress[voigt],
            slope(strain) / atoms.get_volume(),
            words,
            1e-4 * stress + 1e-9,
        )


def check_lattice(family: Family, model: ModelSpec, alloy: Alloy = ALLOY) -> None:
    """Compare energies of decorations of a lattice with those of the calculator."""
    a = alloy.lattice_constant(alloy.elements[0])
    cell = [[2, 1, 0], [0, 2, 0], [0, 0, 1]]
    shape = (5, alloy.n_sites(cell))
    codes = np.random.default_rng(0).integers(len(alloy.elements), size=shape)
    quick = family.lattice_energies(model)(alloy, cell, a)
    plain = AseEnergies(alloy, cell, a, family.calculator(model), mode="fixed lattice")
    words = "energies on a lattice differ from the calculator's"
    _close(quick.energies(codes), plain.energies(codes), words)
    assert quick.name == plain.name
    assert quick.energies(codes[:0]).shape == (0,), "no decorations have no energies"


def check_model_files(family: Family, model: ModelSpec, directory: Path) -> None:
    """Check that checksums are pinned and compared, and that failures are said in one line."""
    resolved = family.resolve(model)
    assert len(resolved.checksum or "") == 64, "resolve gives no sha256"
    assert resolved.sha256 == family.promised(model), "resolve promises what it only measured"
    assert family.resolve(resolved) == resolved
    wrong = model.model_copy(update={"sha256": "00" * 32})
    missing = ModelSpec(family=family.name, path=str(directory / "no-such-file.pt"))
    for use in (family.resolve, family.calculator):
        _fails(lambda use=use: use(wrong), ValueError)  # type: ignore[misc]
        _fails(lambda use=use: use(missing), FileNotFoundError)  # type: ignore[misc]
    unknown = ModelSpec(family=family.name, name="no-such-model")
    assert "accepted: " in _fails(lambda: family.resolve(unknown), ValueError)


def check_training(
    family: Family,
    parent: ModelSpec | None,
    directory: Path,
    alloy: Alloy = ALLOY,
    settings: TrainingSettings = SETTINGS,
) -> ModelSpec:
    """Check that training lowers the loss, resumes exactly, and depends on the seed alone.

    Returns
    -------
    ModelSpec
        The trained model.
    """
    train, validation = labelled_frames(4, 0, alloy), labelled_frames(2, 20, alloy)
    part = (train, validation, train[:0])
    whole = family.train(parent, *part, settings, directory / "whole")
    assert whole.curve[-1].train_loss < whole.curve[0].train_loss, "the loss did not fall"
    assert whole.errors["train"].n_frames == len(train)

    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    try:
        family.train(parent, *part, settings, directory / "broken", interrupt)
    except KeyboardInterrupt:
        pass
    else:
        msg = "on_epoch is not called after the second epoch"
        raise AssertionError(msg)
    resumed = family.train(parent, *part, settings, directory / "broken")
    losses = [[e.train_loss for e in run.curve] for run in (resumed, whole)]
    assert losses[0] == losses[1], "a resumed run has another curve"
    assert resumed.model.sha256 == whole.model.sha256, "a resumed run ends with other weights"
    if parent is None:
        other = settings.model_copy(update={"seed": settings.seed + 1, "epochs": 1})
        once = family.train(None, *part, other, directory / "other")
        assert once.curve[0].train_loss != whole.curve[0].train_loss, "the seed does not decide"
    predictions = family.evaluate(whole.model, train)
    wrong = [
        (p.energy - f.get_potential_energy()) / len(f)
        for p, f in zip(predictions, train, strict=True)
    ]
    rmse = 1000 * float(np.sqrt(np.mean(np.square(wrong))))
    _close(rmse, whole.errors["train"].energy_mev, "the file has other errors", 1e-2 * rmse)
    for method in ("lora", {"kind": "frozen", "through": "products"}):
        unfit = TrainingSettings.model_validate(settings.model_dump() | {"method": method})
        if unfit.method.label not in family.methods:
            _fails(lambda s=unfit: family.train(parent, *part, s, directory / "x"), ValueError)  # type: ignore[misc]
    infinite = with_energies(train, [np.inf] * len(train))
    _fails(
        lambda: family.train(parent, infinite, validation, [], settings, directory / "x"),
        ValueError,
    )
    return whole.model


def _calculated(atoms: Atoms, calculator: Calculator | None = None) -> Prediction:
    copy = atoms
    if calculator is not None:
        copy = atoms.copy()
        copy.calc = calculator
    return Prediction(copy.get_potential_energy(), copy.get_forces(), copy.get_stress())


def _assert_equal(actual: Prediction, expected: Prediction, words: str) -> None:
    scale = 1e-5 * max(1.0, float(abs(expected.forces).max()))
    n = len(expected.forces)
    _close(actual.energy / n, expected.energy / n, words, scale)
    _close(actual.forces, expected.forces, words, scale)
    _close(actual.stress, expected.stress, words)


def _close(actual: Numbers, expected: Numbers, words: str, atol: float = 1e-5) -> None:
    assert_allclose(actual, expected, rtol=0.0, atol=atol, err_msg=words)


def _fails(action: Callable[[], object], error: type[Exception]) -> str:
    """Return the message of the error that an action raises; it must be one line."""
    try:
        action()
    except error as raised:
        return _one_line(raised)
    msg = f"no {error.__name__} was raised"
    raise AssertionError(msg)


def _one_line(error: Exception) -> str:
    assert "\n" not in str(error), f"not one line: {error}"
    return str(error)
