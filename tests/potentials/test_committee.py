"""Committees: means and spreads of small models of two families."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("chgnet")
pytest.importorskip("e3nn")

from hea_flows import load_calculator
from hea_flows.potentials import decoration_energies, evaluator, family, model_files
from hea_flows.potentials.committee import Member, join, split
from hea_flows.potentials.model_files import ModelFileError
from hea_flows.schemas import ModelSpec, Promised
from hea_flows.testing.families import (
    ALLOY,
    check_family,
    distorted_cell,
    labelled_frames,
)

WEIGHTS = (0.5, 0.3, 0.2)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSpec]:
    """Three untrained models, of two families and two seeds, in double precision."""
    folder, frames = tmp_path_factory.mktemp("members"), labelled_frames(4)
    chgnet = {"atom_fea_dim": 8, "bond_fea_dim": 8, "angle_fea_dim": 8, "n_conv": 2}
    nequix = {"hidden_irreps": "4x0e + 4x1o", "n_layers": 2, "radial_mlp_size": 8, "cutoff": 4.0}
    models = []
    for k, (name, architecture) in enumerate(
        [("chgnet", chgnet), ("nequix", nequix), ("nequix", nequix)]
    ):
        potential = family(name, architecture=architecture).fresh(frames, seed=k)
        path = folder / f"{k}.pt"
        sha256 = model_files.save(path, potential.checkpoint())
        models.append(ModelSpec(family=name, path=str(path), sha256=sha256, dtype="float64"))
    return models


@pytest.fixture(scope="module")
def committee(members: list[ModelSpec], tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    path = tmp_path_factory.mktemp("committee") / "committee.pt"
    return join([Member(m, w) for m, w in zip(members, WEIGHTS, strict=True)], path)


def test_what_every_family_does(committee: ModelSpec, tmp_path: Path) -> None:
    check_family(family("committee"), tmp_path, model=committee, trains=False)


def test_predictions_are_weighted_means(members: list[ModelSpec], committee: ModelSpec) -> None:
    frames = [distorted_cell("Mo", 1), distorted_cell("Nb", 2).repeat((2, 1, 1))]
    each = [family(m.family).evaluate(m, frames) for m in members]
    for told in (family("committee").evaluate(committee, frames), evaluator(committee)(frames)):
        for k, prediction in enumerate(told):
            for key in ("energy", "forces", "stress"):
                mean = sum(w * getattr(p[k], key) for w, p in zip(WEIGHTS, each, strict=True))
                np.testing.assert_allclose(getattr(prediction, key), mean, rtol=1e-12, atol=1e-12)


def test_the_calculator_also_gives_spreads(members: list[ModelSpec], committee: ModelSpec) -> None:
    atoms = distorted_cell("V", 3)
    each = [family(m.family).evaluate(m, [atoms])[0] for m in members]
    atoms.calc = family("committee").calculator(committee)
    atoms.get_potential_energy()
    energies = [p.energy for p in each]
    assert atoms.calc.results["energy_std"] == pytest.approx(np.std(energies, ddof=1), rel=1e-9)
    spread = np.std([p.forces for p in each], axis=0, ddof=1)
    np.testing.assert_allclose(atoms.calc.results["forces_std"], spread, atol=1e-9)


def test_decorations(members: list[ModelSpec], committee: ModelSpec) -> None:
    cell, codes = np.diag([2, 2, 1]), np.array([[0, 1, 2, 0], [2, 2, 1, 1]])
    told, *each = (
        decoration_energies(m, ALLOY, cell, 3.2, mode="fixed lattice").energies(codes)
        for m in (committee, *members)
    )
    np.testing.assert_allclose(told, np.array(WEIGHTS) @ each, rtol=1e-12)


def test_members_come_out_as_they_went_in(
    members: list[ModelSpec], committee: ModelSpec, tmp_path: Path
) -> None:
    out = split(committee, tmp_path)
    assert [m.weight for m in out] == list(WEIGHTS)
    for before, after in zip(members, out, strict=True):
        assert Path(str(before.path)).read_bytes() == Path(str(after.model.path)).read_bytes()
        assert (before.family, before.sha256, before.dtype) == (
            after.model.family,
            after.model.sha256,
            after.model.dtype,
        )


def test_its_file_is_opened_as_a_calculator(committee: ModelSpec) -> None:
    atoms = distorted_cell("Mo", 1)
    [expected] = family("committee").evaluate(committee, [atoms])
    atoms.calc = load_calculator(str(committee.path), sha256=committee.sha256)
    assert atoms.get_potential_energy() == pytest.approx(expected.energy, abs=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), expected.forces, atol=1e-9)


def test_the_same_committee_is_the_same_file(
    members: list[ModelSpec], committee: ModelSpec, tmp_path: Path
) -> None:
    again = join([Member(m, w) for m, w in zip(members, WEIGHTS, strict=True)], tmp_path / "c.pt")
    assert again.sha256 == committee.sha256


def test_refused_in_one_line(
    members: list[ModelSpec], committee: ModelSpec, tmp_path: Path
) -> None:
    first = members[0]
    with pytest.raises(ValueError, match=r"two members or more, and weights that add up to 1"):
        join([Member(first, 1.0)], tmp_path / "one.pt")
    with pytest.raises(ValueError, match=r"weights that add up to 1; got \[0.5, 0.6\]"):
        join([Member(first, 0.5), Member(first, 0.6)], tmp_path / "heavy.pt")
    other = members[1].model_copy(update={"family": "chgnet"})
    with pytest.raises(ModelFileError, match="holds a model of the family 'nequix', not 'chgnet'"):
        join([Member(first, 0.5), Member(other, 0.5)], tmp_path / "mixed.pt")
    with pytest.raises(ModelFileError, match="holds a model of the family 'chgnet'"):
        family("committee").resolve(first.model_copy(update={"family": "committee"}))
    wrong = committee.model_copy(update={"sha256": Promised("0" * 64)})
    with pytest.raises(ModelFileError, match="was expected; not loaded"):
        family("committee").evaluate(wrong, [distorted_cell("Mo", 1)])
    with pytest.raises(ValueError, match="unknown committee model 'a'; accepted: no names"):
        family("committee").check(ModelSpec(family="committee", name="a"))
    with pytest.raises(ValueError, match="its members are trained, each by its own family"):
        family("committee").train(None, [], [], [], None, tmp_path)
