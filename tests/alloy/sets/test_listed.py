"""`dataset(…)`: the structures that the card of a dataset lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets.listed import find_card, listing, located_set
from hea_flows.alloy.sets.named import SetError, parse

ALLOY = Alloy(("Mo", "Ta", "Nb", "W", "V"))
SHIPPED = "pbe-mo-ta-nb-w-v-s2"


def card(folder: Path, expression: str, **more: object) -> Path:
    orderings = parse(expression).build(ALLOY, 0)
    structures = {o.id: listing(o.supercell, o.species) for o in orderings}
    alloy = {"prototype": "2H-MX2", "anion": "S"}
    path = folder / "my own.json"
    path.write_text(json.dumps({"alloy": alloy, "structures": structures} | more))
    return path


def test_a_card_gives_the_structures_it_lists(tmp_path: Path) -> None:
    path = card(tmp_path, "1(1)+2(3)+3(3)")
    expected = [o.id for o in parse("1(1)+2(3)+3(3)").build(ALLOY, 0)]
    expression = parse(f'dataset("{path}")')
    assert [o.id for o in expression.build(ALLOY, 0)] == expected
    assert expression.cost(ALLOY).structures == len(expected)
    assert parse(expression.canonical).canonical == expression.canonical
    fewer = parse(f'dataset("{path}")[Mo,W] - 1(1)').build(ALLOY, 0)
    assert {o.id for o in fewer} == {o.id for o in parse("2(3)[Mo,W]").build(ALLOY, 0)}


def test_the_shipped_dataset_has_what_its_card_counts() -> None:
    built = parse(f"dataset({SHIPPED})").build(ALLOY, 0)
    shipped = json.loads(find_card(SHIPPED).read_text())
    assert [o.id for o in built] == list(shipped["structures"])
    assert len(built) == shipped["n_structures"]
    two = shipped["content"]["2(2) - 2(2)[V,W]"]["labelled"]
    assert len([o for o in built if len(o.components) == 2 and o.n_sites == 2]) >= two


def test_paths_are_found_again() -> None:
    found = located_set(
        'dataset(own.json) + 2(2) - dataset("a b.json") + dataset(shipped)', lambda n: f"/x/{n}"
    )
    assert found == 'dataset("/x/own.json") + 2(2) - dataset("/x/a b.json") + dataset(shipped)'


def test_what_is_no_card_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetError, match="expected the card of a dataset, such as own"):
        parse("dataset(3)")
    with pytest.raises(FileNotFoundError, match="no dataset 'none'"):
        parse("dataset(none)").build(ALLOY, 0)
    path = card(tmp_path, "1(1)", alloy={"prototype": "1T-MX2", "anion": "S"})
    with pytest.raises(SetError, match=r"is of 1T-MX2 with anion S, the alloy 2H-MX2 with S"):
        parse(f'dataset("{path}")').build(ALLOY, 0)
    for damaged in ("[]", "{", '{"alloy": {"prototype": "2H-MX2", "anion": "S"}}'):
        path.write_text(damaged)
        with pytest.raises(SetError, match="is not the card of a dataset that lists"):
            parse(f'dataset("{path}")').build(ALLOY, 0)
