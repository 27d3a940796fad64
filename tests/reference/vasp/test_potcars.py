"""Judging a POTCAR once: pymatgen says the same of it, and is asked once."""

from __future__ import annotations

import pytest
from pymatgen.io.vasp.inputs import PotcarSingle, UnknownPotcarWarning

from hea_flows.reference.vasp import potcars
from hea_flows.reference.vasp.potcars import judged_once

POTCAR = """\
  PAW_PBE X 01Jan2000
   6.0
 parameters from PSCTR are:
   VRHFIN =S: test
   LEXCH  = PE
   TITEL  = PAW_PBE S 01Jan2000
   ENMAX  =  260.000; ENMIN  =  195.000 eV
   ZVAL   =    6.000
END of PSCTR-controll parameters
 local part
 {number}
 End of Dataset
"""


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Forget what was judged; return a list of what is judged from now on."""
    seen: list[str] = []
    judge = PotcarSingle.is_valid.fget

    def is_valid(potcar: PotcarSingle) -> bool:
        seen.append(potcar.data)
        return judge(potcar)

    monkeypatch.setattr(PotcarSingle, "is_valid", property(is_valid))
    monkeypatch.setattr(potcars, "_JUDGED", {})
    return seen


@pytest.mark.filterwarnings("ignore::pymatgen.io.vasp.inputs.UnknownPotcarWarning")
def test_equal_potcars_are_judged_once_and_alike(judged: list[str]) -> None:
    first, second = POTCAR.format(number="1.25 -7.5"), POTCAR.format(number="1.25 -7.25")
    plain = {text: PotcarSingle(text) for text in (first, second)}
    judged.clear()
    with judged_once():
        for text in (first, second, first, first, second):
            potcar = PotcarSingle(text)
            assert potcar.spec() == plain[text].spec()
            assert potcar.keywords == plain[text].keywords
    assert judged == [first, second]
    assert plain[first].spec() != plain[second].spec()


def test_an_unknown_potcar_is_told_every_time_and_the_end_restores_pymatgen(
    judged: list[str],
) -> None:
    before = PotcarSingle.is_valid
    text = POTCAR.format(number="3.5")
    with judged_once():
        for _ in range(2):
            with pytest.warns(UnknownPotcarWarning):
                PotcarSingle(text)
    assert judged == [text]
    assert PotcarSingle.is_valid is before
