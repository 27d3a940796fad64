from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from hea_flows.inputs import LimitError, Name, Number, Seed, Whole, cut, refuse_above, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2(2)", "'2(2)'"),
        ("a" * 5000, "'" + "a" * 78 + "…"),
        (
            list(range(100)),
            "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, …",
        ),
        (10**400, "a number of 401 digits"),
        (-(10**4000), "a number of 4001 digits"),
        ([10**5000], "a list that cannot be shown"),
        (True, "True"),
        (2**53, "9007199254740992"),
    ],
)
def test_a_value_is_cut(value: object, text: str) -> None:
    assert shown(value) == text
    assert len(shown(value)) <= 80


def test_a_text_is_cut_without_quotes() -> None:
    assert cut("abc") == "abc"
    assert cut("abcdefgh", 5) == "abcd…"


@pytest.mark.parametrize("kind", [Number, Whole, Seed])
def test_numbers_are_numbers(kind: object) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.validate_python(7) == adapter.validate_python("7") == 7
    for wrong in (True, False, 10**400, float("inf"), float("nan"), "x", None, [1]):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


def test_numbers_as_people_write_them() -> None:
    assert TypeAdapter(Number).validate_python("1e-3") == 1e-3  # a text in YAML
    assert TypeAdapter(Whole).validate_python(5.0) == 5
    assert TypeAdapter(Seed).validate_python(2**53) == 2**53
    with pytest.raises(ValidationError, match="number, not true or false"):
        TypeAdapter(list[Number]).validate_python([300.0, True])
    with pytest.raises(ValidationError, match="at most 18 digits"):
        TypeAdapter(Number).validate_python(10**400)


@pytest.mark.parametrize("wrong", ["", "a" * 101, "a\nb", "a\x00", 5])
def test_names_are_short_and_of_one_line(wrong: object) -> None:
    assert TypeAdapter(Name).validate_python("Model 4 (α)") == "Model 4 (α)"
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(wrong)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (20_001, "it has 20,001 things; at most 20,000 are accepted"),
        (10**400, "it has about 10^400 things"),
        (float("inf"), "it has endless things"),
    ],
)
def test_a_limit_names_number_limit_and_setting(number: float, text: str) -> None:
    refuse_above(20_000, 20_000, "it has {} things", "max_things")
    with pytest.raises(LimitError) as error:
        refuse_above(number, 20_000, "it has {} things", "max_things")
    assert str(error.value).startswith(text)
    assert str(error.value).endswith("(HEA_FLOWS_MAX_THINGS raises the limit)")
