from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from monty.serialization import loadfn
from pymatgen.core import Structure
from pymatgen.io.vasp import Incar, Kpoints, inputs
from pymatgen.io.vasp.sets import MPRelaxSet, VaspInput

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.config import load_campaign
from hea_flows.flows.campaign import CampaignMaker
from hea_flows.provenance import settings_id
from hea_flows.reference.vasp.maker import VaspMaker
from hea_flows.reference.vasp.settings import (
    DEPARTURES,
    OTHER_DEPARTURES,
    PATH_TAGS,
    as_rule,
    input_set,
    potcar_symbols,
)
from hea_flows.reference.vasp.validation import input_objections
from hea_flows.schemas import AlloySpec

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pymatgen's, on every choice
METALS = ("Mo", "Ta", "Nb", "W", "V")
ALLOY = Alloy(METALS)
CELLS = {
    "unit cell": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "2x1": ((2, 0, 0), (0, 1, 0), (0, 0, 1)),
    "√3x√3": ((2, 1, 0), (1, 2, 0), (0, 0, 1)),
    "4x4": ((4, 0, 0), (0, 4, 0), (0, 0, 1)),
    "6x6": ((6, 0, 0), (0, 6, 0), (0, 0, 1)),
}
KPOINTS = {
    "unit cell": ["0", "Gamma", "12 12 1"],
    "2x1": ["0", "Gamma", "6 12 1"],
    "4x4": ["0", "Gamma", "3 3 1"],
    "6x6": ["0", "Gamma", "2 2 1"],
}
DEFAULT_ID = "e7043c3a14c1"


def ordering(cell: str) -> Ordering:
    """Return a decoration in which the metals take turns."""
    supercell: Any = CELLS[cell]
    size = abs(round(np.linalg.det(np.array(supercell))))
    return Ordering(ALLOY, supercell, tuple(METALS[i % 5] for i in range(size)))


def structure(of: Ordering) -> Structure:
    atoms = of.to_atoms()
    positions = atoms.get_scaled_positions(wrap=False)
    return Structure(atoms.cell.array, atoms.get_chemical_symbols(), positions)


def written(maker: VaspMaker, of: Ordering) -> VaspInput:
    generator = maker.maker_for(of).input_set_generator
    return generator.get_input_set(structure(of), potcar_spec=True)


def points(text: str) -> np.ndarray:
    """Return the fractional k-points of a KPOINTS file, by the rules of VASP's manual."""
    lines = text.splitlines()
    numbers = [[float(x) for x in line.split()] for line in lines[3:] if line.strip()]
    assert lines[1].strip() == "0"
    assert numbers[-1] == [0, 0, 0] or lines[2] == "Gamma"
    if lines[2] == "Gamma":
        [mesh] = numbers
        vectors = np.diag([1 / n for n in mesh])
    else:
        assert lines[2] == "Reciprocal"
        vectors = np.array(numbers[:3])
    found = {
        tuple(Fraction(float(x)).limit_denominator(1000) % 1 for x in np.array(n) @ vectors)
        for n in itertools.product(range(12), range(12), range(1))
    }
    return np.array(sorted(found), dtype=float)


def id_of(**options: Any) -> str:
    maker = VaspMaker.from_options(**options)
    return settings_id(maker.rule())


@pytest.mark.parametrize("calculation", ["relax", "static"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_whole_input_is_materials_projects_but_for_the_declared_table(
    cell: str, calculation: Any
) -> None:
    found = written(VaspMaker(calculation=calculation), ordering(cell))
    theirs = MPRelaxSet(structure(ordering(cell)), force_gamma=True).get_input_set(potcar_spec=True)
    assert set(OTHER_DEPARTURES) == {"KPOINTS", "LATTICE_CONSTRAINTS"}
    expected = dict(theirs["INCAR"]) | {d.tag: d.value for d in DEPARTURES}
    expected["LATTICE_CONSTRAINTS"] = [True, True, False]
    if calculation == "static":
        expected |= {"NSW": 0, "IBRION": -1}
        del expected["ISIF"]
    assert dict(found["INCAR"]) == expected
    # The text that VASP reads says the same.
    assert dict(Incar.from_str(str(found["INCAR"]))) == expected
    assert found["POTCAR.spec"] == theirs["POTCAR.spec"]
    assert found["POSCAR"].structure == theirs["POSCAR"].structure
    assert set(found) == set(theirs)
    text = str(found["KPOINTS"])
    assert text.splitlines()[1:] == KPOINTS.get(cell, text.splitlines()[1:])


def test_the_values_that_are_materials_projects() -> None:
    found = written(VaspMaker(), ordering("6x6"))
    incar = found["INCAR"]
    assert {k: incar[k] for k in ("ENCUT", "ISPIN", "SIGMA", "PREC", "LASPH")} == {
        "ENCUT": 520,
        "ISPIN": 2,
        "SIGMA": 0.05,
        "PREC": "Accurate",
        "LASPH": True,
    }
    symbols = found["POSCAR"].site_symbols
    order = [site.specie.symbol for site in found["POSCAR"].structure]
    moments = dict(zip(order, incar["MAGMOM"], strict=True))
    assert moments == {"Mo": 5, "W": 5, "V": 5, "Ta": 0.6, "Nb": 0.6, "S": 0.6}
    assert found["POTCAR.spec"].split("\n") == ["S" if s == "S" else f"{s}_pv" for s in symbols]


@pytest.mark.parametrize("cell", CELLS)
def test_the_k_points_are_the_unit_cells_folded(cell: str) -> None:
    of = ordering(cell)
    found = points(str(written(VaspMaker(), of)["KPOINTS"]))
    assert len(found) == 144 / of.n_sites
    # In the unit cell, each point of the supercell's zone stands for as many as it has units.
    unit = of.alloy.primitive(a=of.lattice_constant()).cell.array
    cell_vectors = structure(of).lattice.matrix
    reciprocal = np.linalg.inv(cell_vectors).T
    shifts = np.array([*itertools.product(range(-6, 7), range(-6, 7), range(1))])
    everywhere = (found[:, None] + shifts).reshape(-1, 3) @ reciprocal @ unit.T
    keys = {tuple(k) for k in np.rint(everywhere * 12).astype(int) % 12}
    assert np.abs(everywhere * 12 - np.rint(everywhere * 12)).max() < 1e-6
    assert keys == {(i, j, 0) for i in range(12) for j in range(12)}


def test_a_cell_that_does_not_fold_is_at_least_as_dense() -> None:
    of = Ordering(ALLOY, ((5, 0, 0), (0, 5, 0), (0, 0, 1)), METALS * 5)
    assert str(written(VaspMaker(), of)["KPOINTS"]).splitlines()[1:] == ["0", "Gamma", "3 3 1"]


@pytest.mark.parametrize("cell", CELLS)
def test_a_mesh_file_can_be_read_again(cell: str, tmp_path: Path) -> None:
    kpoints = written(VaspMaker(), ordering(cell))["KPOINTS"]
    kpoints.write_file(tmp_path / "KPOINTS")
    again = Kpoints.from_file(tmp_path / "KPOINTS")
    assert (again.style, again.num_kpts) == (kpoints.style, 0)
    np.testing.assert_allclose(again.kpts, kpoints.kpts, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("calculation", ["relax", "static"])
def test_what_materials_project_objects_to(cell: str, calculation: Any) -> None:
    of = ordering(cell)
    generator = VaspMaker(calculation=calculation).maker_for(of).input_set_generator
    least = {"relax": 14, "static": 22}[calculation]
    vectors = [
        f"KPOINTS or KSPACING: 0 kpoints were used, but it should have been at least {least}.",
        "KPOINTS: explicitly defining the k-point mesh is not currently allowed. "  # noqa: ISC004
        "Automatic k-point generation is required.",
    ]
    vectors = [f"INPUT SETTINGS --> {text}" for text in vectors]
    assert input_objections(generator, structure(of)) == (vectors if cell == "√3x√3" else [])


def test_objections_are_found() -> None:
    of = ordering("unit cell")
    generator = VaspMaker.from_options(incar={"ENCUT": 300}).maker_for(of).input_set_generator
    assert any("ENCUT" in text for text in input_objections(generator, structure(of)))


def test_the_default_id() -> None:
    maker = VaspMaker()
    rule = as_rule(maker.vasp.input_set_generator, maker.mesh)
    assert rule == {
        "code": "vasp",
        "set": "MPRelaxSet",
        "set_sha256": rule["set_sha256"],
        "incar": {"EDIFF": 1e-6, "ISMEAR": 0, "LREAL": False},
        "k_points": {"primitive_mesh": [12, 12, 1], "supercells": "folded exactly, else as dense"},
        "potcar_functional": "PBE",
        "potcars": {},
        "energy": "extrapolated to zero smearing",
        "forces": "of the free energy",
    }
    assert id_of() == DEFAULT_ID


def test_end_points_and_alloys_share_one_id() -> None:
    maker = VaspMaker()
    for cell in CELLS:
        written(maker, ordering(cell))  # pymatgen's sets remember structures
        assert settings_id(maker.rule()) == DEFAULT_ID


@pytest.mark.parametrize(
    "options",
    [
        {"calculation": "static"},
        {"passes": 1},
        {"run_vasp": {"max_errors": 2}},
        {"incar": {"NCORE": 4, "ALGO": "Normal", "KPAR": 2, "NELM": 200, "LWAVE": True}},
        {"incar": {"EDIFFG": -0.02, "NSW": 20}},
        {"incar": {"ENCUT": 520, "encut": 520.0, "EDIFF": "1e-6", "LREAL": ".FALSE."}},
        {"potcars": {"Mo": "Mo_pv"}},
        {"mesh": [12, 12, 1]},
    ],
)
def test_what_leaves_the_physics_leaves_the_id(options: dict[str, Any]) -> None:
    assert id_of(**options) == DEFAULT_ID


def test_what_changes_the_physics_changes_the_id() -> None:
    different = [
        {"incar": {"ENCUT": 600}},
        {"incar": {"SIGMA": 0.1}},
        {"incar": {"ISMEAR": 1}},
        {"incar": {"EDIFF": 1e-5}},
        {"incar": {"LREAL": "Auto"}},
        {"incar": {"ISPIN": 1}},
        {"incar": {"GGA": "PS"}},
        {"incar": {"MAGMOM": {"V": 1}}},
        {"incar": {"IVDW": 12}},
        {"mesh": (6, 6, 1)},
        {"potcar_functional": "PBE_54", "potcars": {"W": "W_sv"}},
        {"potcar_functional": "PBE_52"},
        {"potcars": {"Mo": "Mo_sv"}},
    ]
    ids = [id_of(**options) for options in different]
    assert len({*ids, DEFAULT_ID}) == len(different) + 1


def test_other_functionals_of_the_docs() -> None:
    """Each block of docs/vasp.md is a settings id of its own; its tags are written."""
    text = (Path(__file__).parents[3] / "docs" / "vasp.md").read_text()
    section = text.partition("## Other functionals")[2].partition("\n## ")[0]
    blocks = [yaml.safe_load(b) for b in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]
    options = [block["labels"]["options"] for block in blocks]
    assert len(options) == 3
    assert len({*(id_of(**o) for o in options), DEFAULT_ID}) == 4
    of = ordering("2x1")
    for one in options:
        maker = VaspMaker.with_options(one)
        maker.check(AlloySpec(elements=("Mo", "Ta", "Nb", "W", "V")))
        rule = maker.rule()
        tags = dict(Incar(one["incar"])).items()  # as pymatgen writes them
        assert tags <= rule["incar"].items()
        assert rule["potcar_functional"] == one.get("potcar_functional", "PBE")
        assert rule["potcars"] == one.get("potcars", {})
        assert tags <= dict(written(maker, of)["INCAR"]).items()


def test_path_tags_are_written_although_they_are_no_part_of_the_rule() -> None:
    own = {"NCORE": 4, "ALGO": "Normal", "EDIFFG": -0.02}
    assert own.keys() <= PATH_TAGS
    incar = written(VaspMaker.from_options(incar=own), ordering("2x1"))["INCAR"]
    assert {k: incar[k] for k in own} == own


# -- POTCARs ---------------------------------------------------------------------------------------

W_LINE = (
    "POTCARs PBE_54 have no W_pv; take potcar_functional: PBE (W_pv, comparable with Materials "
    "Project's PBE data), or say potcars: {W: W_sv} (comparable with itself)"
)


def test_tungsten_of_pbe_54_is_asked_for_before_pymatgen_chooses() -> None:
    maker = VaspMaker.from_options(potcar_functional="PBE_54")
    with pytest.raises(ValueError) as told:
        maker.check(AlloySpec(elements=METALS))
    assert str(told.value) == W_LINE
    maker.check(AlloySpec(elements=("Mo", "Ta")))
    # What happens without the question: W_sv, from the second time on, and nothing says so.
    tungsten = structure(Ordering(ALLOY, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("W",)))
    theirs = MPRelaxSet(tungsten, user_potcar_functional="PBE_54")
    assert theirs.potcar_symbols == ["W_pv", "S"]
    assert MPRelaxSet.from_dict(theirs.as_dict()).potcar_symbols == ["W_sv", "S"]


def test_a_campaign_with_tungsten_of_pbe_54_is_refused_before_anything_runs(
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\nalloy: {elements: [Mo, W]}\nstructures: [{set: 1(1)}]\n"
        "labels: {engine: vasp, options: {potcar_functional: PBE_54}}\n"
    )
    with pytest.raises(ValueError, match="PBE_54 have no W_pv"):
        CampaignMaker.from_campaign(load_campaign(file)[0])


def test_a_choice_of_tungsten_is_taken_and_makes_another_id() -> None:
    options: dict[str, Any] = {"potcar_functional": "PBE_54", "potcars": {"W": "W_sv"}}
    maker = VaspMaker.from_options(**options)
    maker.check(AlloySpec(elements=METALS))
    spec = written(maker, ordering("6x6"))["POTCAR.spec"].split()
    assert sorted(spec) == ["Mo_pv", "Nb_pv", "S", "Ta_pv", "V_pv", "W_sv"]
    assert id_of(**options) not in {DEFAULT_ID, id_of(potcar_functional="PBE_54")}


def test_the_question_is_asked_of_exactly_the_generations_without_w_pv() -> None:
    """pymatgen ships the titles and symbols of every POTCAR of every generation."""
    table = loadfn(Path(inputs.__file__).with_name("potcar-summary-stats.json.bz2"))
    generations = [name for name in table if name.startswith("PBE")]
    assert len(generations) >= 6
    for name in generations:
        held = {one["symbol"] for versions in table[name].values() for one in versions}
        generator = input_set(potcar_functional=name)
        if "W_pv" in held:
            assert potcar_symbols(generator, METALS)["W"] == "W_pv"
        else:
            with pytest.raises(ValueError, match=f"POTCARs {name} have no W_pv"):
                potcar_symbols(generator, METALS)
        assert potcar_symbols(generator, ("Mo", "S")) == {"Mo": "Mo_pv", "S": "S"}


def test_an_element_without_potcar_is_named() -> None:
    with pytest.raises(ValueError, match=r"no POTCAR of Po; name it: potcars: \{Po: <symbol>\}"):
        potcar_symbols(input_set(), ("Mo", "Po"))


# -- machines --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("machine")
def test_a_build_with_the_ioptcell_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEA_FLOWS_VASP_CELL_TAG", "IOPTCELL")
    found = dict(written(VaspMaker(), ordering("2x1"))["INCAR"])
    assert found["IOPTCELL"] == "1 1 0 1 1 0 0 0 0"
    assert "LATTICE_CONSTRAINTS" not in found
    assert id_of() == DEFAULT_ID
    monkeypatch.delenv("HEA_FLOWS_VASP_CELL_TAG")
    usual = dict(written(VaspMaker(), ordering("2x1"))["INCAR"])
    del found["IOPTCELL"], usual["LATTICE_CONSTRAINTS"]
    assert found == usual


def test_a_bulk_host_relaxes_all_three_axes() -> None:
    bulk = Alloy(("Mo", "W"), prototype="bcc", anion=None)
    of = Ordering(bulk, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",))
    incar = written(VaspMaker.from_options(mesh=(8, 8, 8)), of)["INCAR"]
    assert not {"LATTICE_CONSTRAINTS", "IOPTCELL"} & incar.keys()


def test_the_users_incar_wins_over_the_departures() -> None:
    own = {"ISMEAR": 1, "LATTICE_CONSTRAINTS": [False, False, False]}
    incar = written(VaspMaker.from_options(incar=own), ordering("2x1"))["INCAR"]
    assert {k: incar[k] for k in own} == own
