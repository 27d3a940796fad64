from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hea_flows import plugins
from hea_flows.plugins import register_family, register_reference_engine
from hea_flows.potentials.base import families, family
from hea_flows.reference.base import reference_engine, reference_engines

BUILT_IN = [
    *("ase", "chgnet", "cluster-expansion", "committee"),
    *("mace", "mattersim", "nequip", "nequix", "sevennet"),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins.FAMILIES, "registered", {})
    monkeypatch.setattr(plugins.ENGINES, "registered", {})


class Toy:
    def __init__(self, size: int = 1) -> None:
        self.name, self.size = "toy", size


def test_importing_the_registry_loads_no_engine() -> None:
    code = (
        "import sys, hea_flows.potentials as p, hea_flows.reference as r;"
        "p.families(); r.reference_engines();"
        "names = ('torch', 'gpaw.calculator', 'mace', 'chgnet', 'e3nn');"
        "print([m for m in names if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_built_in_rows() -> None:
    assert families() == BUILT_IN
    assert reference_engines() == ["archive", "atomate2", "gpaw", "synthetic", "vasp"]


def test_an_unknown_name_lists_the_accepted_ones() -> None:
    with pytest.raises(
        ValueError,
        match=r"unknown model family 'mase'; accepted: ase, chgnet, cluster-expansion, committee, ",
    ):
        family("mase")
    accepted = "archive, atomate2, gpaw, synthetic, vasp"
    with pytest.raises(
        ValueError, match=rf"unknown reference engine 'vsap'; accepted: {accepted}$"
    ):
        reference_engine("vsap")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hea_flows.potentials.chgnet.family", raising=False)
    for name in ("chgnet", "chgnet.model", "chgnet.model.model"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs chgnet.*; install it: pip install 'hea-flows\[chgnet\]'$"
    ) as caught:
        family("chgnet")
    assert "\n" not in str(caught.value)


def test_where_one_pip_command_does_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hea_flows.potentials.mattersim", raising=False)
    monkeypatch.setitem(sys.modules, "mattersim", None)
    monkeypatch.setitem(sys.modules, "loguru", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"install it: see requirements/mattersim\.txt \(docs/models\.md"
    ):
        family("mattersim")


def test_a_script_registers_a_family() -> None:
    register_family("toy", Toy)
    assert families() == [*BUILT_IN, "toy"]
    assert family("toy", size=3).size == 3  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="'toy' has no option 'sise'; accepted: size"):
        family("toy", sise=3)
    register_family("toy", Toy)  # the same again is no error
    with pytest.raises(ValueError, match="'toy' exists already; pass replace=True"):
        register_family("toy", "elsewhere:Toy")
    register_family("toy", "collections:OrderedDict", replace=True)
    assert type(family("toy")).__name__ == "OrderedDict"


def test_a_script_registers_a_reference_engine() -> None:
    register_reference_engine("toy", "collections:OrderedDict")
    assert reference_engine("toy").__name__ == "OrderedDict"


def test_wrong_targets_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="the target is 'module:attribute', got 'collections'"):
        register_family("toy", "collections")
    register_family("lost", "no_such_module_at_all:Thing")
    with pytest.raises(ModuleNotFoundError, match="there is no module 'no_such_module_at_all'"):
        family("lost")
    register_family("empty", "collections:Nothing")
    with pytest.raises(ValueError, match="module 'collections' has no 'Nothing'"):
        family("empty")


def test_another_package_adds_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hea_flows.families]\npair = other_engine:Pair\n"
        "[hea_flows.engines]\ntable = other_engine:Table\n"
    )
    (tmp_path / "other_engine.py").write_text(
        "class Pair:\n    name = 'pair'\n\nclass Table:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert families() == sorted([*BUILT_IN, "pair"])
    assert reference_engines() == ["archive", "atomate2", "gpaw", "synthetic", "table", "vasp"]
    assert family("pair").name == "pair"
    assert reference_engine("table").__name__ == "Table"


def test_a_row_offered_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "usurper-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: usurper\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hea_flows.families]\nmace = usurper:Mace\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"'mace' is offered twice: hea_flows.*, usurper:Mace"):
        family("mace")
