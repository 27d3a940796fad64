"""The names that `hea_flows` offers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import hea_flows
from hea_flows import reference

NAMES = [name for name in hea_flows.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there(name: str) -> None:
    if name == "ReferenceMaker" and not hasattr(reference, name):
        pytest.skip("not yet written")
    value = getattr(hea_flows, name)
    assert value.__name__ == name
    assert value.__module__.startswith("hea_flows.")
    assert value.__doc__


def test_type_checkers_see_the_same_names() -> None:
    rooms = {
        alias.name: node.module.removeprefix("hea_flows.")
        for node in ast.walk(ast.parse(inspect.getsource(hea_flows)))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hea_flows.")
        for alias in node.names
    }
    assert rooms == hea_flows._ROOMS
    assert sorted(rooms) == NAMES


def test_the_names_are_listed() -> None:
    assert set(NAMES) <= set(dir(hea_flows))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = hea_flows.Nothing


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("", {"jobflow", "pymatgen", "ase", "numpy", "pymongo", "pydantic"}),
        (".potentials .reference .runtime .services", {"mace", "chgnet", "fireworks"}),
    ],
)
def test_importing_loads_nothing_heavy(modules: str, heavy: set[str]) -> None:
    heavy |= {"torch", "gpaw.mpi", "matplotlib"}  # ASE itself looks into gpaw
    imports = ", ".join(f"hea_flows{module}" for module in modules.split() or [""])
    code = f"import sys, {imports}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "[]\n", done.stderr
