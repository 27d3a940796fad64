"""A flow of atomate2 that runs VASP: the stand-in's own numbers, atoms in our order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from vasp_standin import potential

from hea_flows.reference import reference_engine
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry
from hea_flows.testing.engines import MONOLAYER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.usefixtures("standin"),
]
INCAR = {"LATTICE_CONSTRAINTS": [True, True, False], "EDIFFG": -0.05}
GENERATOR = {
    "@module": "atomate2.vasp.sets.core",
    "@class": "RelaxSetGenerator",
    "user_incar_settings": INCAR,
    "user_kpoints_settings": {"grid_density": 100},
    "user_potcar_functional": "PBE",
    "user_potcar_settings": {"Mo": "Mo_pv", "W": "W_pv", "S": "S"},
}
RELAX = {
    "@module": "atomate2.vasp.jobs.core",
    "@class": "RelaxMaker",
    "input_set_generator": GENERATOR,
}


def test_a_double_relaxation_by_vasp() -> None:
    options: dict[str, Any] = {
        "maker": "atomate2.vasp.flows.core:DoubleRelaxMaker",
        "kwargs": {"relax_maker1": RELAX, "relax_maker2": RELAX},
    }
    maker = reference_engine("atomate2").with_options(options)
    alloy = AlloySpec(elements=("Mo", "W"))
    label = maker.label(StructureEntry.from_ordering(MONOLAYER), alloy)
    assert isinstance(label, LabelDoc)
    assert label.state == "converged", label.reason
    assert label.code_versions["vasp"]
    assert label.trajectory is not None
    symbols = MONOLAYER.to_atoms().get_chemical_symbols()
    assert label.trajectory.symbols == symbols
    order = sorted(range(len(symbols)), key=lambda i: ["Mo", "W", "S"].index(symbols[i]))
    for frame in label.trajectory.to_frames():
        places = frame.get_scaled_positions(wrap=False)[order]
        told = potential.evaluate(frame.cell.array, places, [symbols[i] for i in order])
        results = frame.calc.results
        assert results["energy"] == pytest.approx(told["energy"], abs=1e-6)
        np.testing.assert_allclose(results["forces"][order], told["forces"], atol=1e-6)
        stress = told["stress"][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        np.testing.assert_allclose(results["stress"], stress, atol=1e-7)
