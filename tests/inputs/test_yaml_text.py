from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hea_flows.inputs import LimitError, load_yaml, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("path", sorted(Path("configs").rglob("*.yaml")), ids=str)
def test_reads_what_yaml_reads(path: Path) -> None:
    text = path.read_text()
    assert read_yaml(path) == (yaml.safe_load(text), text)


def test_merged_keys_may_be_replaced() -> None:
    text = "base: &b {k: 1, l: 2}\none: {<<: *b, k: 3}\ntwo: {<<: [*b, {m: 1}]}\n"
    assert load_yaml(text, "x") == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is given twice, first in line 1"),
        ("x: {'b': 1,\n b: 2}", "line 2: the key 'b' is given twice, first in line 1"),
        ("a: &a [*a]", "line 1: an alias stands inside what it refers to"),
        ("[" * 5000, "more than 30 levels are nested"),
        ("- " * 100 + "1", "more than 30 levels are nested"),
        ("n: " + "9" * 5000, "cannot be read as int"),
        ("n: 2024-13-01", "'2024-13-01' cannot be read as timestamp"),
        ('n: !!int ""', "cannot be read as int"),
        ("n: !!timestamp no", "cannot be read as timestamp"),
        ("? [a]\n: b", "unhashable key"),
        ("n: \x07", "special characters are not allowed"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: b: c", "line 1: mapping values are not allowed here"),
        ("a: *b", "line 1: found undefined alias 'b'"),
        ("--- 1\n--- 2\n", "expected a single document"),
    ],
)
def test_faults_are_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        load_yaml(text, "c.yaml")
    assert str(error.value).startswith("c.yaml is not valid YAML: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_values_are_counted_while_they_are_read() -> None:
    assert load_yaml("a: [1, 2]", "x", most=5) == {"a": [1, 2]}  # two mappings' parts, a list
    with pytest.raises(LimitError, match=r"x has 5 values or more; at most 4 are accepted"):
        load_yaml("a: [1, 2]", "x", most=4)
    assert load_yaml("a: &a [1, 2]\nb: *a", "x", most=9)
    with pytest.raises(LimitError, match=r"HEA_FLOWS_MAX_YAML_VALUES raises the limit"):
        load_yaml("a: &a [1, 2]\nb: *a", "x", most=8)


def test_a_bomb_of_aliases() -> None:
    """10^10 values in ten lines."""
    with pytest.raises(LimitError, match="at most 20,000 are accepted"):
        load_yaml(BOMB, "x")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # sparse zeros
    with pytest.raises(LimitError, match=r"c.yaml has 400,001 characters or more"):
        read_yaml(path)


def test_a_file_that_is_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("name: ü".encode("latin-1"))
    with pytest.raises(ValueError, match=r"c.yaml is no UTF-8 text \(byte 7\); save it as UTF-8"):
        read_yaml(path)


def test_a_fault_does_not_show_the_text_around_it() -> None:
    with pytest.raises(ValueError, match="line 2: mapping values are not") as error:
        load_yaml("a: 1\npassword: geheim: x\n", "s.yaml")
    assert "geheim" not in str(error.value)
