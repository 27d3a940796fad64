"""The rule of a VASP label: Materials Project's relaxation set, and every departure from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.io.vasp.inputs import Incar, Kpoints
from pymatgen.io.vasp.sets import MPRelaxSet, VaspInputSet

from hea_flows.alloy.lattice import Ordering, folded_mesh
from hea_flows.provenance import settings_id


@dataclass(frozen=True)
class Departure:
    """One INCAR tag that differs from Materials Project's set.

    Parameters
    ----------
    tag
        The tag.
    value
        Its value here.
    reason
        Why Materials Project's will not do.
    """

    tag: str
    value: Any
    reason: str


#: Everything in which an INCAR differs from pymatgen's ``MPRelaxSet``.
DEPARTURES = (
    Departure(
        tag="EDIFF",
        value=1e-6,
        reason="MPRelaxSet takes 5e-5 eV per atom: 5 meV in a 6x6 cell of 108 atoms. Every cell "
        "has to be converged to far below 0.1 meV per formula unit",
    ),
    Departure(
        tag="EDIFFG",
        value=-0.01,
        reason="the default, 10 EDIFF, is an energy that grows with the cell; a force (eV/Å) "
        "does not",
    ),
    Departure(
        tag="ISMEAR",
        value=0,
        reason="tetrahedra (-5) give wrong forces and stresses in metals, and NbS2, TaS2, VS2 are "
        "metals; one smearing for every cell, with MPRelaxSet's SIGMA of 0.05 eV",
    ),
    Departure(
        tag="LREAL",
        value=False,
        reason="AUTO projects in real space in large cells only, which shifts them by more than "
        "0.1 meV per formula unit against the end points",
    ),
)

#: Departures of k-points and cell, which are no fixed INCAR values.
OTHER_DEPARTURES = {
    "KPOINTS": "Γ-centred 12x12x1 for the primitive cell, folded into every supercell that allows "
    "it (by generating vectors where its axes are turned, as in √3x√3), else at least as dense; "
    "MPRelaxSet's 64 points per Å⁻³ do not fold, so that mesh errors would enter mixing energies",
    "LATTICE_CONSTRAINTS": ".TRUE. .TRUE. .FALSE. for a layer: c holds vacuum and must not relax "
    "(IOPTCELL = 1 1 0 1 1 0 0 0 0 for builds with that patch, see the setting vasp_cell_tag)",
}

#: Tags that change how a result is reached, or what is written, but not what it is. They are no
#: part of a rule, and custodian may change them.
PATH_TAGS = frozenset(
    "ALGO AMIN AMIX AMIX_MAG BMIX BMIX_MAG EDIFFG IALGO IBRION ICHARG IMIX IOPTCELL ISEARCH "  # noqa: SIM905
    "ISIF ISTART ISYM KPAR LATTICE_CONSTRAINTS LCHARG LELF LMAXMIX LORBIT LPLANE LSCALU "
    "LVHAR LVTOT LWAVE MAXMIX NBANDS NCORE NELM NELMDL NELMIN NPAR NSIM NSW POTIM SYMPREC "
    "SYSTEM TIME".split()
)

#: Generations of POTCARs that have no W_pv, the one Materials Project's data were computed with.
_WITHOUT_W_PV = ("PBE_54", "PBE_54_W_HASH", "PBE_64")


def input_set(
    *,
    incar: Mapping[str, Any] | None = None,
    potcar_functional: str = "PBE",
    potcars: Mapping[str, str] | None = None,
) -> VaspInputSet:
    """Return Materials Project's relaxation set with the declared departures.

    Parameters
    ----------
    incar
        More INCAR tags, or other values; they make another rule.
    potcar_functional
        Generation of the POTCARs. ``PBE`` is the one of Materials Project's PBE data.
    potcars
        Element to POTCAR symbol, where it is not Materials Project's.
    """
    return MPRelaxSet(
        force_gamma=True,
        auto_metal_kpoints=False,  # the mesh is ours
        inherit_incar=False,
        user_incar_settings={d.tag: d.value for d in DEPARTURES} | dict(incar or {}),
        user_potcar_functional=potcar_functional,  # type: ignore[arg-type]
        user_potcar_settings=dict(potcars or {}),
    )


def as_rule(inputs: VaspInputSet, mesh: Sequence[int]) -> dict[str, Any]:
    """Return what makes two VASP labels comparable; its hash is their settings id.

    Parameters
    ----------
    inputs
        The input set, without a structure.
    mesh
        k-points of the primitive cell.
    """
    standard = _as_read(inputs.config_dict["INCAR"])
    own = _as_read(inputs.user_incar_settings)
    table, potcars = inputs.config_dict["POTCAR"], inputs.user_potcar_settings or {}
    config = json.dumps(inputs.config_dict, sort_keys=True, default=str)
    return {
        "code": "vasp",
        "set": type(inputs).__name__,
        "set_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "incar": {k: v for k, v in own.items() if k not in PATH_TAGS and v != standard.get(k)},
        "k_points": _kpoints_rule(inputs, mesh),
        "potcar_functional": _functional(inputs),
        "potcars": {e: symbol for e, symbol in potcars.items() if symbol != table.get(e)},
        "energy": "extrapolated to zero smearing",
        "forces": "of the free energy",
    }


def rule_id(inputs: VaspInputSet, mesh: Sequence[int]) -> str:
    """Return the settings id of a rule."""
    return settings_id(as_rule(inputs, mesh))


def _as_read(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Return INCAR tags as VASP reads them: 520 is 520.0, "1e-6" a number, encut is ENCUT."""
    tables = {k: v for k, v in tags.items() if isinstance(v, dict)}
    return dict(Incar({k: v for k, v in tags.items() if k not in tables})) | tables


def _kpoints_rule(inputs: VaspInputSet, mesh: Sequence[int]) -> dict[str, Any]:
    own = inputs.user_kpoints_settings
    if own:
        return {"user": own.as_dict() if isinstance(own, Kpoints) else dict(own)}
    return {"primitive_mesh": list(mesh), "supercells": "folded exactly, else as dense"}


def _functional(inputs: VaspInputSet) -> str:
    given = inputs.user_potcar_functional or inputs.config_dict.get("POTCAR_FUNCTIONAL")
    return str(given or "PBE")


def potcar_symbols(inputs: VaspInputSet, elements: Sequence[str]) -> dict[str, str]:
    """Return the POTCAR of each element.

    Raises
    ------
    ValueError
        If an element has none, or tungsten's is not settled: newer generations have no W_pv.
    """
    table = dict(inputs.config_dict["POTCAR"]) | dict(inputs.user_potcar_settings or {})
    if missing := [e for e in elements if e not in table]:
        msg = f"{type(inputs).__name__} has no POTCAR of {', '.join(missing)}; name it: potcars: "
        raise ValueError(msg + f"{{{missing[0]}: <symbol>}}")
    functional = _functional(inputs)
    if "W" in elements and table["W"] == "W_pv" and functional in _WITHOUT_W_PV:
        msg = (
            f"POTCARs {functional} have no W_pv; take potcar_functional: PBE (W_pv, comparable "
            "with Materials Project's PBE data), or say potcars: {W: W_sv} (comparable with itself)"
        )
        raise ValueError(msg)
    return {e: str(table[e]) for e in elements}


class LatticeMesh(Kpoints):
    """A mesh given by its generating vectors; the shift that VASP expects is always written."""

    def __repr__(self) -> str:
        """Return the KPOINTS file; pymatgen leaves a zero shift out, but cannot read that."""
        return super().__repr__() + "0 0 0\n"


def kpoints(ordering: Ordering, mesh: Sequence[int]) -> Kpoints:
    """Return the k-points of an ordering: the primitive cell's Γ-centred mesh, folded.

    A plain Γ-centred mesh where the folded points are one, generating vectors where the cell's
    axes are turned against the mesh, and where nothing folds the smallest Γ-centred mesh that is
    at least as dense (see `hea_flows.alloy.lattice.kmesh.folded_mesh`).
    """
    cell = ordering.alloy.primitive().cell.array
    found = folded_mesh(mesh, ordering.supercell, cell)
    inside = np.abs(found.points) < 1e-9
    along = [int((inside.sum(axis=1) - inside[:, i] == 2).sum()) for i in range(3)]
    if int(np.prod(along)) == len(found.points):
        return Kpoints.gamma_automatic(tuple(along))  # type: ignore[arg-type]
    vectors = np.array(ordering.supercell).T / np.array(mesh)[:, None]
    return LatticeMesh(
        comment=f"{'x'.join(map(str, mesh))} of the primitive cell, folded",
        num_kpts=0,
        style=Kpoints.supported_modes.Reciprocal,
        kpts=[tuple(float(x) for x in v) for v in vectors],
    )
