"""MatterSim. No MatterSim weights come with the package: all weights here are random."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk

torch = pytest.importorskip("torch")
pytest.importorskip("mattersim", reason="mattersim is not installed: requirements/mattersim.txt")

from hea_flows.potentials.mattersim import MatterSimFamily, _build  # noqa: E402
from hea_flows.potentials.model_files import ModelFileError  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402
from hea_flows.testing.families import SETTINGS, check_calculator, check_derivatives  # noqa: E402
from hea_flows.testing.families import distorted_cell as layer  # noqa: E402
from hea_flows.testing.families import labelled_frames as frames  # noqa: E402

FAMILY = MatterSimFamily()
SMALL = {"num_blocks": 2, "units": 16, "max_l": 3, "max_n": 3}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ModelSpec]:
    """Return a `Potential` of mattersim with random weights, and the file that it writes itself."""
    from mattersim.forcefield.potential import Potential

    path = tmp_path_factory.mktemp("mattersim") / "random.pth"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        module = _build(dict(FAMILY.ARCHITECTURE))
        module.normalizer.scale.uniform_(100.0, 200.0)  # forces of some eV/Å
        module.normalizer.shift.uniform_(-8.0, -3.0)
    potential = Potential(module, device="cpu")
    potential.save(str(path))
    potential.model.eval()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return potential, ModelSpec(family="mattersim", path=str(path), sha256=sha256)


def test_random_weights_give_what_mattersims_own_calculator_gives(
    random: tuple[Any, ModelSpec],
) -> None:
    from mattersim.forcefield.potential import MatterSimCalculator

    potential, spec = random
    structures = [layer("V", 1), layer("Mo", 2).repeat((2, 2, 1)), layer("Nb", 3), bulk("Nb")]
    theirs = MatterSimCalculator(potential=potential, device="cpu")
    check_calculator(FAMILY, spec, theirs, structures)
    assert abs(FAMILY.evaluate(spec, structures)[0].forces).max() > 0.1


def test_forces_and_stress_are_derivatives_of_the_energy(random: tuple[Any, ModelSpec]) -> None:
    spec = random[1].model_copy(update={"dtype": "float64"})
    check_derivatives(FAMILY.calculator(spec), layer("Nb", 3))


def test_another_process_goes_on_bit_identical_with_other_families_beside_it(
    tmp_path: Path,
) -> None:
    """TorchScript, which mattersim uses, compiles anew in another process.

    The order of imports is the one that could break mace: it wants to come before e3nn.
    """
    small = MatterSimFamily(architecture=SMALL)
    part = (frames(4), frames(2, 20), [])
    whole = small.train(None, *part, SETTINGS, tmp_path / "whole")

    def interrupt(epoch: Any) -> None:
        if epoch.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small.train(None, *part, SETTINGS, tmp_path / "broken", interrupt)
    others = [name for name in ("nequix", "mace") if find_spec({"nequix": "e3nn"}.get(name, name))]
    code = (
        "from pathlib import Path\n"
        "from hea_flows.testing.families import SETTINGS, labelled_frames as frames\n"
        "from hea_flows.potentials.mattersim import MatterSimFamily\n"
        + "".join(f"import hea_flows.potentials.{name}\n" for name in others)
        + f"family = MatterSimFamily(architecture={SMALL!r})\n"
        f"part = frames(4), frames(2, 20), []\n"
        f"done = family.train(None, *part, SETTINGS, Path({str(tmp_path / 'broken')!r}))\n"
        "print(done.model.sha256)"
    )
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == f"{whole.model.sha256}\n"


def test_what_cannot_be_built_or_known_is_said(random: tuple[Any, ModelSpec]) -> None:
    with pytest.raises(ValueError, match="unknown mattersim architecture entry 'unit'; accepted: "):
        MatterSimFamily(architecture={"unit": 3}).fresh(frames(1), 0)
    with pytest.raises(ValueError, match="mattersim cannot build this architecture: lmax must be"):
        MatterSimFamily(architecture={"max_l": 5}).fresh(frames(1), 0)
    with pytest.raises(ValueError, match="from scratch needs training frames"):
        FAMILY.fresh([], 0)
    with pytest.raises(ValueError, match="knows the elements up to Z = 94, not 96"):
        FAMILY.evaluate(random[1], [bulk("Cm", "fcc", a=5.0)])


def test_a_file_without_some_weights_is_refused(
    random: tuple[Any, ModelSpec], tmp_path: Path
) -> None:
    content = torch.load(random[1].path, weights_only=True)
    for lacking in ("normalizer.shift", "atom_embedding.mlp.0.linear.weight"):
        state = {k: v for k, v in content["model"].items() if k != lacking}
        torch.save(content | {"model": state}, tmp_path / "part.pth")
        with pytest.raises(ModelFileError, match=f"lacks weights of this architecture: {lacking}$"):
            FAMILY.load(ModelSpec(family="mattersim", path=str(tmp_path / "part.pth")))
