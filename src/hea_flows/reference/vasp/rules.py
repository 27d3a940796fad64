"""The settings rules of VASP runs that other people made, as the engine would write them."""

from __future__ import annotations

import bz2
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.io.vasp.inputs import POTCAR_STATS_PATH, Incar
from pymatgen.io.vasp.sets import MPRelaxSet

from hea_flows.alloy.lattice import Ordering, folded_mesh
from hea_flows.reference.vasp.outputs import VaspInput
from hea_flows.reference.vasp.settings import PATH_TAGS, as_rule, input_set
from hea_flows.reference.vasp.task import as_structure

#: What VASP takes where a tag is not given.
_DEFAULTS: dict[str, Any] = {
    "EDIFF": 1e-4,
    "ISMEAR": 1,
    "ISPIN": 1,
    "LASPH": False,
    "LREAL": False,
    "PREC": "Normal",
    "SIGMA": 0.2,
} | dict.fromkeys(
    ("ADDGRID", "LDAU", "LDIPOL", "LHFCALC", "LNONCOLLINEAR", "LSORBIT", "LUSE_VDW"), False
)
#: Of one cell or one machine: no part of a rule.
_OF_ONE_CELL = frozenset(
    "KGAMMA KPOINT_BSE KSPACING LASYNC LDAUPRINT NELECT NGX NGXF NGY NGYF NGZ NGZF "  # noqa: SIM905
    "NUPDOWN NWRITE".split()
)
#: Meshes of the primitive cell that are tried go up to so many points along a vector.
_FINEST = 40


@dataclass
class _Group:
    """Runs that one rule covers: what they agree in, and what is still open."""

    own: Mapping[str, Any]
    titles: dict[str, str]
    meshes: dict[str, int] | None = None
    members: list[int] = field(default_factory=list)

    def takes(self, titles: Mapping[str, str], meshes: Mapping[str, int] | None) -> bool:
        """Return whether a run agrees with all before it."""
        if any(self.titles.get(e, title) != title for e, title in titles.items()):
            return False
        return meshes is None or self.meshes is None or bool(set(meshes) & set(self.meshes))

    def add(self, member: int, titles: Mapping[str, str], meshes: Mapping[str, int] | None) -> None:
        self.members.append(member)
        self.titles |= titles
        if self.meshes is None or meshes is None:
            self.meshes = dict(meshes) if self.meshes is None and meshes else self.meshes
            return
        self.meshes = {k: v + meshes[k] for k, v in self.meshes.items() if k in meshes}


def run_rules(
    runs: Sequence[tuple[VaspInput, Atoms, Ordering | None]],
) -> list[dict[str, Any]]:
    """Return the rule of each run; runs that are comparable have the same one.

    A rule names the settings by which the runs differ from Materials Project's relaxation set, as
    that of the engine does: runs of the engine get the engine's rule. What one cell cannot tell is
    settled by all together: its k-points fold several meshes of the primitive cell, and its
    POTCARs belong to several generations.

    Parameters
    ----------
    runs
        Input and first frame of each, and its decoration with the cell vectors of the frame; None
        where it has none: then its k-points are not looked at.
    """
    meshes = [
        None if ordering is None else mesh_rules(ordering, given) for given, _, ordering in runs
    ]
    departures = [_departures(given, atoms) for given, atoms, _ in runs]
    # What tells most comes first: more elements, then fewer possible meshes.
    order = sorted(
        range(len(runs)),
        key=lambda i: (-len(runs[i][0].titles), len(meshes[i] or range(1000)), i),
    )
    groups: dict[str, list[_Group]] = {}
    for i in order:
        titles, alike = runs[i][0].titles, groups.setdefault(json.dumps(departures[i]), [])
        group = next((g for g in alike if g.takes(titles, meshes[i])), None)
        if group is None:
            group = _Group(departures[i], {})
            alike.append(group)
        group.add(i, titles, meshes[i])
    rules: dict[int, dict[str, Any]] = {}
    for group in (g for alike in groups.values() for g in alike):
        rule = _rule(group)
        rules |= dict.fromkeys(group.members, rule)
    return [rules[i] for i in range(len(runs))]


def _rule(group: _Group) -> dict[str, Any]:
    """Return the rule of a group."""
    generation, table = _generation(group.titles), input_set().config_dict["POTCAR"]
    symbols = {e: title.split()[1] for e, title in group.titles.items() if " " in title}
    other = {e: s for e, s in symbols.items() if s != table.get(e)}
    inputs = input_set(potcar_functional=generation or "PBE", potcars=other)
    rule = as_rule(inputs, (1, 1, 1)) | {"incar": dict(group.own)}
    if generation is None:  # no table knows them: they are named one by one
        rule |= {"potcar_functional": "unknown", "potcars": dict(sorted(group.titles.items()))}
    folds = group.meshes or {json.dumps("not known"): 0}
    best = max(folds.items(), key=lambda item: item[1])  # the first of equals: the coarsest
    return rule | {"k_points": json.loads(best[0])}


def mesh_rules(ordering: Ordering, given: VaspInput) -> dict[str, int]:
    """Return the rules of k-points that give a run's own, each with whether it folds exactly.

    Parameters
    ----------
    ordering
        The decoration, with the cell vectors of the run.
    given
        Its input.

    Returns
    -------
    rules
        JSON of a rule to 1 if the mesh folds into the cell, and to 0 if it does not; coarsest
        first.
    """
    if "KSPACING" in given.incar:
        spacing = {k: given.incar[k] for k in ("KSPACING", "KGAMMA") if k in given.incar}
        return {json.dumps(spacing): 1}
    points = given.k_points
    if not len(points):
        return {json.dumps("not known"): 0}
    atom = np.linalg.norm(points[:, :3], axis=1).argmin()
    n = round(1 / points[atom, 3]) if np.abs(points[atom, :3]).max() < 1e-6 else 0
    found: dict[str, int] = {}
    cell, dense = ordering.alloy.primitive().cell.array, n * ordering.n_sites
    for m in range(1, _FINEST + 1):
        primitive = [m, m, 1 if ordering.alloy.host.layer else m]
        if n == 0 or np.prod(primitive) > dense:
            break
        mesh = folded_mesh(primitive, ordering.supercell, cell)
        if len(mesh.points) == n and _holds(mesh.points, points[:, :3]):
            rule = {"primitive_mesh": primitive, "supercells": "folded exactly, else as dense"}
            found[json.dumps(rule)] = int(mesh.folds)
    if not found:
        unique = len(points) if n == 0 else n
        found[json.dumps({"points": unique * ordering.n_sites, "of": "the primitive cell"})] = 0
    return found


def _holds(mesh: NDArray[np.float64], points: NDArray[np.float64]) -> bool:
    """Return whether points are of a mesh, by their fractional coordinates."""
    off = mesh[None] - points[:, None]
    return bool((np.abs(off - np.rint(off)).max(axis=2).min(axis=1) < 1e-5).all())


def _departures(asked: VaspInput, atoms: Atoms) -> dict[str, Any]:
    """Return the tags by which an INCAR differs from Materials Project's for the structure."""
    structure = as_structure(atoms)
    given = {str(k).upper(): v for k, v in asked.incar.items()}
    given = dict(Incar({k: v for k, v in given.items() if v is not None}))
    if _equal(given.get("GGA"), "PE") and all("PBE" in title for title in asked.titles.values()):
        given.pop("GGA")  # what such POTCARs say themselves
    standard = _standard(structure)
    own: dict[str, Any] = {}
    for tag in sorted((set(given) | set(standard)) - PATH_TAGS - _OF_ONE_CELL):
        value = given.get(tag, _DEFAULTS.get(tag))
        if tag == "MAGMOM" and (value is None or given.get("ISPIN", 1) == 1):
            continue
        if not _equal(value, standard.get(tag, _DEFAULTS.get(tag))):
            own[tag] = _by_element(value, structure)
    return own


def _standard(structure: Structure) -> dict[str, Any]:
    """Return Materials Project's INCAR of a structure."""
    return dict(MPRelaxSet(structure, force_gamma=True).incar)


def _equal(value: object, standard: object) -> bool:
    """Return whether VASP reads two values alike."""
    if isinstance(value, list) and isinstance(standard, list):
        pairs = zip(value, standard, strict=False)
        return len(value) == len(standard) and all(_equal(x, y) for x, y in pairs)
    if isinstance(value, bool) or isinstance(standard, bool):
        return _logical(value) is not None and _logical(value) == _logical(standard)
    if isinstance(value, int | float) and isinstance(standard, int | float):
        return bool(np.isclose(value, standard, rtol=1e-6, atol=0))
    if value is None or standard is None:
        return value is standard
    one, other = (str(x).strip(". ").upper() for x in (value, standard))
    return one.startswith(other) or other.startswith(one)  # VASP itself writes "accura"


def _logical(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"T": True, "F": False}.get(str(value).strip(". ").upper()[:1])


def _by_element(value: Any, structure: Structure) -> Any:  # noqa: ANN401  tags are of any type
    """Return a value per atom or per species as one by element, where it is one."""
    if not isinstance(value, list):
        return value
    symbols = [site.specie.symbol for site in structure]
    kinds = [s for i, s in enumerate(symbols) if i == 0 or symbols[i - 1] != s]
    for names in (symbols, kinds):
        pairs = set(zip(names, map(str, value), strict=False))
        if len(value) == len(names) and len(pairs) == len(set(names)):
            return {name: float(number) for name, number in sorted(pairs)}
    return value


def _generation(titles: Mapping[str, str]) -> str | None:
    """Return the oldest generation of POTCARs that all are of; None if there is none."""
    wanted = {title.replace(" ", "") for title in titles.values()}
    return next((name for name, known in _known_titles().items() if wanted <= known), None)


@cache
def _known_titles() -> Mapping[str, frozenset[str]]:
    """Return the titles of POTCARs, without blanks, by generation."""
    with bz2.open(POTCAR_STATS_PATH, "rt") as file:
        return {name: frozenset(known) for name, known in json.load(file).items()}
