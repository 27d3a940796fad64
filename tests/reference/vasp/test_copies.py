"""What a thousand jobs copy and carry of one VASP Maker: all that may change, no table."""

from __future__ import annotations

import copy
import json

from atomate2.vasp.sets.core import RelaxSetGenerator
from pymatgen.io.vasp.sets import MPRelaxSet

from hea_flows.reference.vasp.maker import VaspMaker


def test_a_job_carries_no_table_and_the_maker_comes_back_whole() -> None:
    maker = VaspMaker.from_options(incar={"ENCUT": 600}, passes=3)
    text = json.dumps(maker.as_dict())
    assert "config_dict" not in text
    assert len(text) < 2000
    back = VaspMaker.from_dict(json.loads(text))
    assert back == maker
    assert back.vasp.input_set_generator.config_dict == MPRelaxSet.CONFIG
    assert maker.rule() == back.rule() != VaspMaker().rule()


def test_a_set_whose_table_is_no_class_attribute_keeps_it() -> None:
    maker = VaspMaker()
    maker.vasp.input_set_generator = RelaxSetGenerator()
    found = maker.as_dict()["vasp"]["input_set_generator"]
    assert found["config_dict"]["INCAR"] == RelaxSetGenerator().config_dict["INCAR"]


def test_copies_share_nothing_that_a_powerup_changes() -> None:
    maker = VaspMaker.from_options(run_vasp={"max_errors": 3})
    other = copy.deepcopy(maker)
    assert other == maker
    assert other.vasp is not maker.vasp
    other.vasp.input_set_generator.user_incar_settings["ENCUT"] = 700
    other.vasp.run_vasp_kwargs["max_errors"] = 9
    other.passes = 1
    assert "ENCUT" not in maker.vasp.input_set_generator.user_incar_settings
    assert maker.vasp.run_vasp_kwargs == {"max_errors": 3}
    assert maker.passes == 2
    own = vars(maker.vasp.input_set_generator)["_config_dict"]
    assert vars(other.vasp.input_set_generator)["_config_dict"] is own
