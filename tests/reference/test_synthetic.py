from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hea_flows.alloy.lattice.pair_term import PairTerm
from hea_flows.alloy.sets.named import parse
from hea_flows.potentials.base import family
from hea_flows.reference.synthetic import SyntheticMaker
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry

pytest.importorskip("chgnet")

ALLOY = AlloySpec(elements=("Mo", "Ta", "W"))


def label(maker: SyntheticMaker, expression: str) -> LabelDoc:
    [ordering, *_] = parse(expression).build(ALLOY.to_alloy(), 1)
    make: Any = SyntheticMaker.make.original  # type: ignore[attr-defined]
    document = make(maker, StructureEntry.from_ordering(ordering), ALLOY)
    assert isinstance(document, LabelDoc)
    return document


def test_the_pair_term_is_the_difference_from_the_model() -> None:
    pairs = {"Mo-Ta": 0.05}
    plain = label(SyntheticMaker(calculation="static"), "2(2)[Mo,Ta]")
    taught = label(SyntheticMaker(calculation="static", pairs=pairs), "2(2)[Mo,Ta]")
    assert plain.trajectory is not None
    [atoms] = plain.trajectory.to_frames()
    atoms.calc = PairTerm(pairs, 5.0)
    assert plain.energy is not None
    assert taught.energy == pytest.approx(plain.energy + atoms.get_potential_energy(), abs=1e-6)
    assert atoms.get_potential_energy() > 0.01


def test_relaxation_is_labelled_step_by_step_by_the_named_model() -> None:
    document = label(SyntheticMaker(fmax=0.05), "1(1)[Mo]")
    assert document.state == "converged"
    assert document.engine == "synthetic:chgnet-0.3.0"
    assert document.settings["code"] == "synthetic"
    assert document.trajectory is not None
    frames = document.trajectory.to_frames()
    spec = SyntheticMaker().model
    for frame, found in zip(frames, family("chgnet").evaluate(spec, frames), strict=True):
        assert frame.calc.results["energy"] == pytest.approx(found.energy, abs=1e-5)
        np.testing.assert_allclose(frame.calc.results["forces"], found.forces, atol=1e-4)


def test_pairs_make_other_settings_and_their_order_does_not() -> None:
    ids = [
        label(SyntheticMaker(calculation="static", pairs=pairs), "1(1)[Mo]").settings_id
        for pairs in ({}, {"Mo-Ta": 0.05}, {"Ta-Mo": 0.05}, {"Mo-Ta": 0.06})
    ]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


def test_options_of_a_campaign_file() -> None:
    maker = SyntheticMaker.from_options(model="chgnet:0.3.0", pairs={"Mo-W": -0.01}, fmax=0.03)
    assert maker == SyntheticMaker(pairs={"Mo-W": -0.01}, fmax=0.03)
    assert maker.category == "chgnet"
    assert SyntheticMaker.from_dict(maker.as_dict()) == maker
    with pytest.raises(ValueError, match="'Mo-Nb' is no pair of Mo-Ta-W"):
        SyntheticMaker(pairs={"Mo-Nb": 0.1}).check(ALLOY)
    with pytest.raises(ValueError, match="labels need a trained model"):
        SyntheticMaker.from_options(model="mace").check(ALLOY)
