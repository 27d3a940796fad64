"""Batched relaxations against the same ones by ASE, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from hea_flows import plugins
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.relaxation import cell_filter, relax
from hea_flows.alloy.sets.named import parse
from hea_flows.potentials import evaluator, family, relax_many
from hea_flows.potentials.base import Family, Prediction
from hea_flows.schemas import ModelSpec


def layer(symbol: str, seed: int, a: float = 3.8) -> Atoms:
    atoms = fcc111(symbol, (2, 2, 1), a=a, vacuum=8.0, periodic=False)
    atoms.set_cell(atoms.cell.array * [[1.0], [1.02], [1.0]], scale_atoms=True)
    atoms.rattle(0.04, seed=seed)
    return atoms


def emt(atoms_list: Sequence[Atoms]) -> list[Prediction]:
    told = []
    for atoms in atoms_list:
        copy = atoms.copy()
        copy.calc = EMT()
        told.append(Prediction(copy.get_potential_energy(), copy.get_forces(), copy.get_stress()))
    return told


def one_by_one(
    atoms_list: Sequence[Atoms], calculator: Callable[[], Calculator], **options: Any
) -> list[tuple[Atoms, list[Atoms], bool]]:
    done = []
    for start in atoms_list:
        atoms, path = start.copy(), []
        atoms.calc = calculator()
        converged = relax(atoms, on_step=lambda a, path=path: path.append(a.copy()), **options)
        done.append((atoms, path, converged))
    return done


def mixed() -> list[Atoms]:
    """Layers and bulk, of several sizes and numbers of moves."""
    cube = bulk("Ni", cubic=True)
    cube.set_cell(cube.cell.array @ [[1.02, 0.01, 0], [0, 0.97, 0.02], [0, 0, 1]])
    cube.rattle(0.1, seed=4)
    return [layer("Cu", 1), cube, layer("Au", 2, a=4.3), layer("Cu", 3).repeat((2, 1, 1))]


def test_paths_are_those_of_ase_one_by_one() -> None:
    starts = mixed()
    paths: list[list[Atoms]] = [[] for _ in starts]
    together = relax_many(
        emt, starts, fmax=0.005, on_step=lambda i, atoms: paths[i].append(atoms.copy())
    )
    alone = one_by_one(starts, EMT, fmax=0.005)
    for result, path, (atoms, theirs, converged) in zip(together, paths, alone, strict=True):
        assert converged
        assert result.converged
        assert result.reason == ""
        assert result.steps == len(theirs) - 1 > 4
        assert len(path) == len(theirs)
        for ours, ase in zip(path, theirs, strict=True):
            np.testing.assert_allclose(ours.positions, ase.positions, atol=1e-8)
            np.testing.assert_allclose(ours.cell.array, ase.cell.array, atol=1e-8)
        energy = atoms.get_potential_energy()
        assert result.atoms.get_potential_energy() == pytest.approx(energy, abs=1e-9)
        np.testing.assert_allclose(result.atoms.get_forces(), atoms.get_forces(), atol=1e-7)
        np.testing.assert_allclose(result.atoms.get_stress(), atoms.get_stress(), atol=1e-9)
    assert len({r.steps for r in together}) > 1


def test_the_gradient_is_that_of_ases_filter() -> None:
    """At a sheared, rotated cell, where no term vanishes by symmetry."""
    from hea_flows.potentials.relaxation.geometry import Geometry

    for atoms in mixed()[:2]:
        filtered = cell_filter(atoms.copy())
        geometry = Geometry(atoms)
        x = geometry.get_x()
        x += np.random.default_rng(0).normal(scale=0.3, size=x.size) * np.concatenate(
            [np.ones(3 * len(atoms)), np.repeat(filtered.mask.any(axis=1), 3)]
        )
        inside = x.reshape(-1, 3)
        inside[len(atoms) :] *= filtered.mask
        geometry.set_x(inside.ravel())
        geometry.take(emt([atoms])[0])
        filtered.atoms.set_cell(atoms.cell)
        filtered.atoms.set_positions(atoms.positions)
        filtered.atoms.calc = EMT()
        np.testing.assert_allclose(
            -geometry.get_gradient().reshape(-1, 3), filtered.get_forces(), atol=1e-9
        )
        n = len(atoms)
        shifted = filtered.get_positions()
        shifted[n:] -= n * np.log(n) * np.eye(3)  # a constant of ASE's coordinates
        np.testing.assert_allclose(geometry.get_x().reshape(-1, 3), shifted, atol=1e-9)


def test_c_is_kept_to_the_last_bit_and_the_start_is_not_touched() -> None:
    starts = [layer("Cu", 1), layer("Au", 2, a=4.3)]
    before = [a.copy() for a in starts]
    for start, copy, result in zip(starts, before, relax_many(emt, starts), strict=True):
        assert start == copy
        assert start.calc is None
        np.testing.assert_array_equal(result.atoms.cell.array[2], copy.cell.array[2])
        np.testing.assert_array_equal(result.atoms.cell.array[:2, 2], 0.0)
        assert not np.allclose(result.atoms.cell.array[:2, :2], copy.cell.array[:2, :2], atol=0.02)


def test_each_ends_on_its_own_and_one_call_holds_all_that_move() -> None:
    relaxed = relax_many(emt, [bulk("Cu", cubic=True)], fmax=0.001)[0].atoms
    starts = [layer("Cu", 1), relaxed, layer("Au", 2, a=4.3)]
    calls: list[list[str]] = []

    def counted(atoms_list: Sequence[Atoms]) -> list[Prediction]:
        calls.append([a.get_chemical_formula() for a in atoms_list])
        return emt(atoms_list)

    results = relax_many(counted, starts, max_steps=6)
    assert [r.converged for r in results] == [False, True, False]
    assert [r.steps for r in results] == [6, 0, 6]
    assert results[0].reason == "fmax above 0.02 eV/Å after 6 moves"
    assert calls == [["Cu4", "Cu4", "Au4"], *[["Cu4", "Au4"]] * 6]
    assert [r.atoms.get_chemical_formula() for r in results] == ["Cu4", "Cu4", "Au4"]
    _, path, _ = one_by_one(starts[:1], EMT, max_steps=6)[0]
    np.testing.assert_allclose(results[0].atoms.positions, path[-1].positions, atol=1e-8)
    assert relax_many(counted, []) == []
    assert len(calls) == 7


def test_a_failure_is_named_and_stops_no_other() -> None:
    """A structure no model can evaluate, one whose energy breaks, and one that flies apart."""
    good = [layer("Cu", 1), layer("Cu", 3)]
    starts = [good[0], layer("Al", 5), layer("Pt", 6), layer("Ag", 7), layer("Au", 8), good[1]]
    seen = {"Pt4": 0}

    def bad(atoms_list: Sequence[Atoms]) -> list[Prediction]:
        told = emt(atoms_list)
        for i, atoms in enumerate(atoms_list):
            name = atoms.get_chemical_formula()
            if name == "Al4":
                msg = "this model does not know Al"
                raise ValueError(msg)
            if name == "Pt4":
                seen[name] += 1
                energy = told[i].energy if seen[name] < 4 else float("nan")
                told[i] = Prediction(energy, told[i].forces, told[i].stress)
            if name == "Ag4":
                away = 50 * (atoms.positions - atoms.positions.mean(axis=0))
                told[i] = Prediction(told[i].energy, away, told[i].stress)
            if name == "Au4":
                told[i] = Prediction(told[i].energy, told[i].forces, np.full(6, -5.0))
        return told

    results = relax_many(bad, starts)
    assert [r.converged for r in results] == [True, False, False, False, False, True]
    assert results[1].reason == "this model does not know Al"
    assert results[1].steps == 0
    assert results[2].reason == "Pt4: the energy became nan"
    assert "Ag4: it flew apart: an atom moves by 2." in results[3].reason
    assert "Au4: its cell is strained by a factor of 1.5" in results[4].reason
    assert np.abs(results[3].atoms.positions - starts[3].positions).max() < 2.5
    for result, (atoms, path, _) in zip(
        [results[0], results[5]], one_by_one(good, EMT), strict=True
    ):
        assert result.steps == len(path) - 1
        np.testing.assert_allclose(result.atoms.positions, atoms.positions, atol=1e-8)


def test_a_mistake_in_the_code_is_no_failure_of_a_structure() -> None:
    def wrong(atoms_list: Sequence[Atoms]) -> list[Prediction]:
        raise TypeError

    with pytest.raises(TypeError):
        relax_many(wrong, [layer("Cu", 1)])
    with pytest.raises(ValueError, match="only layers periodic in x and y, or bulk"):
        relax_many(emt, [Atoms("Cu", pbc=(True, False, False))])


def test_a_family_of_a_calculator_only_can_relax(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Family):
        name = "other"

        def resolve(self, spec: ModelSpec) -> ModelSpec:
            return spec

        def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
            return EMT()

    monkeypatch.setitem(plugins.FAMILIES.registered, "other", plugins.Row(Other))
    starts = [layer("Cu", 1), layer("Cu", 3)]
    told = relax_many(evaluator(ModelSpec(family="other", name="x")), starts)
    for ours, theirs in zip(told, relax_many(emt, starts), strict=True):
        np.testing.assert_allclose(ours.atoms.positions, theirs.atoms.positions, atol=1e-12)


@pytest.fixture
def _one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
def test_chgnet_on_enumerated_cells() -> None:
    """2(2)+3(3) of three metals: float64 follows ASE's path, float32 ends in the same place."""
    pytest.importorskip("chgnet")
    cells = [o.to_atoms() for o in parse("2(2)+3(3)").build(Alloy(("Mo", "Nb", "V")))]
    assert len(cells) == 6
    ends = {}
    for dtype in ("float64", "float32"):
        spec = ModelSpec(family="chgnet", name="0.3.0", dtype=dtype)
        ends[dtype] = relax_many(evaluator(spec, max_atoms=20), cells, fmax=0.05)
        assert all(r.converged for r in ends[dtype])
    calculator = family("chgnet").calculator(
        ModelSpec(family="chgnet", name="0.3.0", dtype="float64")
    )
    alone = one_by_one(cells, lambda: calculator, fmax=0.05)
    for start, (atoms, path, _), fine, single in zip(
        cells, alone, ends["float64"], ends["float32"], strict=True
    ):
        assert fine.steps == len(path) - 1 > 2
        energy = atoms.get_potential_energy()
        assert fine.atoms.get_potential_energy() == pytest.approx(energy, abs=1e-9)
        np.testing.assert_allclose(fine.atoms.positions, atoms.positions, atol=1e-7)
        np.testing.assert_allclose(fine.atoms.cell.array, atoms.cell.array, atol=1e-7)
        np.testing.assert_array_equal(fine.atoms.cell.array[2], start.cell.array[2])
        # Forces of float32 are good to about 1e-5 eV/Å, of 0.05 at convergence.
        assert single.atoms.get_potential_energy() == pytest.approx(energy, abs=1e-3)
        np.testing.assert_allclose(single.atoms.positions, atoms.positions, atol=5e-3)
