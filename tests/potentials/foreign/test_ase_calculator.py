"""Calculators of other packages as models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from hea_flows.alloy.lattice import Alloy
from hea_flows.potentials import decoration_energies, evaluator, family, relax_many
from hea_flows.potentials.model_files import verify
from hea_flows.schemas import ModelSpec
from hea_flows.testing.families import (
    check_derivatives,
    check_predictions,
    check_symmetries,
    distorted_cell,
)

METALS = Alloy(("Cu", "Au", "Ag"), "fcc", None, {"Cu": 3.6, "Au": 4.1, "Ag": 4.1})
EMT_MODEL = ModelSpec(family="ase", callable="ase.calculators.emt:EMT")


class WithoutStress(EMT):
    """A calculator that has no stress."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        super().calculate(*args, **kwargs)
        self.results.pop("stress", None)


def of_file(path: str, epsilon: float = 1.0) -> LennardJones:
    """Return a calculator of the number in a file."""
    return LennardJones(sigma=float(Path(path).read_text()), epsilon=epsilon)


def test_what_every_family_does() -> None:
    check_predictions(family("ase"), EMT_MODEL, METALS)
    check_symmetries(family("ase"), EMT_MODEL, METALS)
    check_derivatives(family("ase").calculator(EMT_MODEL), distorted_cell("Cu", 3, METALS))


def test_chgnets_own_calculator_is_our_chgnet() -> None:
    pytest.importorskip("chgnet")
    theirs = ModelSpec.model_validate(
        {
            "@module": "chgnet.model.dynamics",
            "@callable": "CHGNetCalculator",
            "use_device": "cpu",
        }
    )
    assert theirs.callable == "chgnet.model.dynamics:CHGNetCalculator"
    assert theirs.kwargs == {"use_device": "cpu"}
    atoms = distorted_cell("Mo", 1)
    [a] = family("ase").evaluate(theirs, [atoms])
    [b] = family("chgnet").evaluate(ModelSpec(family="chgnet", name="0.3.0"), [atoms])
    assert a.energy == pytest.approx(b.energy, abs=3e-5)
    np.testing.assert_allclose(a.forces, b.forces, atol=3e-5)
    np.testing.assert_allclose(a.stress, b.stress, atol=1e-6)


def test_a_calculator_without_stress() -> None:
    model = ModelSpec(family="ase", callable=f"{__name__}:WithoutStress")
    atoms = distorted_cell("Cu", 1, METALS)
    [prediction] = family("ase").evaluate(model, [atoms])
    assert np.isnan(prediction.stress).all()
    [relaxed] = relax_many(evaluator(model), [atoms])
    assert relaxed.reason == "Cu2: the stress became not finite"


def test_decorations_one_by_one() -> None:
    energies = decoration_energies(EMT_MODEL, METALS, np.diag([2, 1, 1]), 3.9, mode="fixed lattice")
    codes = np.array([[0, 1], [1, 0], [2, 2]])
    told = energies.energies(codes)
    assert told[0] == pytest.approx(told[1], abs=1e-9)
    atoms = METALS.primitive(a=3.9)
    atoms.symbols = "Ag"
    atoms.calc = EMT()
    assert told[2] == pytest.approx(2 * atoms.get_potential_energy(), abs=1e-9)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("os:system", "os is a part of Python; name one of another package"),
        ("builtins:eval", "builtins is a part of Python"),
        ("ase.io:os.system", "ase.io has no function or class 'os.system'"),
        ("ase.calculators.emt:nothing", "has no function or class 'nothing'"),
        ("no_such_package.x:y", "there is no module 'no_such_package'; install its package"),
    ],
)
def test_no_callable(target: str, message: str) -> None:
    with pytest.raises((ValueError, ModuleNotFoundError), match=message.replace(".", r"\.")):
        family("ase").check(ModelSpec(family="ase", callable=target))


def test_what_is_called_returns_a_calculator() -> None:
    model = ModelSpec(family="ase", callable="ase.build:bulk", kwargs={"name": "Cu"})
    with pytest.raises(ValueError, match="returned Atoms, not an ASE calculator"):
        family("ase").calculator(model)
    wrong = EMT_MODEL.model_copy(update={"kwargs": {"nonsense": 1, "directory": 3}})
    with pytest.raises(ValueError, match="EMT could not be called"):
        family("ase").calculator(wrong)


def test_files_need_a_promise(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("2.5")
    model = ModelSpec(family="ase", callable=f"{__name__}:of_file", kwargs={"path": str(path)})
    sha256 = verify(path, None)
    with pytest.raises(ValueError, match=f"may run code.*add sha256: {sha256}"):
        family("ase").resolve(model)
    with pytest.raises(ValueError, match="may run code"):
        family("ase").calculator(model)
    promised = ModelSpec.model_validate(model.model_dump() | {"sha256": sha256})
    assert family("ase").calculator(promised).parameters["sigma"] == 2.5
    as_atomate2 = {"@module": __name__, "@callable": "of_file", "path": str(path)}
    assert ModelSpec.model_validate(as_atomate2 | {"sha256": sha256}) == promised
    first = family("ase").resolve(promised).checksum
    path.write_text("2.6")
    with pytest.raises(ValueError, match="was expected; not loaded"):
        family("ase").calculator(promised)
    other = ModelSpec.model_validate(model.model_dump() | {"sha256": verify(path, None)})
    assert family("ase").resolve(other).checksum != first


def test_all_that_predictions_depend_on_is_in_the_checksum() -> None:
    models = [
        EMT_MODEL,
        ModelSpec(family="ase", callable="ase.calculators.lj:LennardJones"),
        ModelSpec(
            family="ase", callable="ase.calculators.lj:LennardJones", kwargs={"epsilon": 2.0}
        ),
    ]
    checksums = {family("ase").resolve(m).checksum for m in models}
    assert len(checksums) == 3
    assert family("ase").resolve(EMT_MODEL).checksum in checksums


def test_what_belongs_together() -> None:
    for fields in (
        {"family": "ase"},
        {"family": "mace", "callable": "a:b"},
        {"family": "mace", "kwargs": {"a": 1}},
    ):
        with pytest.raises(ValueError, match="callable and kwargs are those of the family ase"):
            ModelSpec(**fields)
    with pytest.raises(ValueError, match="should match pattern"):
        ModelSpec(family="ase", callable="no colon")
