"""YAML that people write: every key once, no deep nesting, no more values than can be meant."""

from __future__ import annotations

from pathlib import Path

import yaml

from hea_flows.inputs.limits import refuse_above
from hea_flows.inputs.values import shown

#: Default for the values of a file; those of an alias count each time.
MOST_VALUES = 20_000
#: Characters of a file per value that it may hold.
_CHARACTERS = 20
_MOST_NESTED = 30
_SETTING = "max_yaml_values"
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path, most: int = MOST_VALUES) -> tuple[object, str]:
    """Read a YAML file that a person wrote; return what it says and its text.

    Raises
    ------
    ValueError
        One line that names the file: it is no text or no YAML, gives a key twice, is nested too
        deep, or is too large.
    """
    with path.open("rb") as file:
        content = file.read(_CHARACTERS * most + 1)
    _refuse_long(len(content), most, path)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        msg = f"{path} is no UTF-8 text (byte {error.start + 1}); save it as UTF-8"
        raise ValueError(msg) from None
    return load_yaml(text, path, most), text


def load_yaml(text: str, source: object, most: int = MOST_VALUES) -> object:
    """Return what YAML says.

    Parameters
    ----------
    text
        The YAML.
    source
        What messages call it, such as the path of its file.
    most
        Largest number of values; those of an alias count each time.

    Raises
    ------
    ValueError
        As in `read_yaml`.
    """
    _refuse_long(len(text), most, source)
    try:
        loader = _Loader(text, source, most)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        msg = f"{source} is not valid YAML: {_reason(error)}"
        raise ValueError(msg) from None


def _reason(error: yaml.YAMLError) -> str:
    """Return what PyYAML says, without the text around it, which may hold a password."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark or error.context_mark
    place = "" if mark is None else f"line {mark.line + 1}: "
    return place + ", ".join(filter(None, (error.context, error.problem)))


def _refuse_long(characters: int, most: int, source: object) -> None:
    what = f"{source} has {{}} characters or more, {_CHARACTERS} for each value"
    refuse_above(characters, _CHARACTERS * most, what, _SETTING)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's safe loader, with limits and without keys that are given twice."""

    def __init__(self, text: str, source: object, most: int) -> None:
        super().__init__(text)
        self.source, self.most = source, most
        self.values = self.depth = 0
        #: Values of each node that is complete; what is not refers to itself.
        self.sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Count the values of a node while it is read, those of an alias again."""
        if self.depth >= _MOST_NESTED:
            reason = f"more than {_MOST_NESTED} levels are nested"
            raise self._fault(reason)
        alias, before = self.check_event(yaml.AliasEvent), self.values
        mark = self.peek_event().start_mark
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if not alias:
            self.values += 1
            self.sizes[id(node)] = self.values - before
        elif id(node) not in self.sizes:
            reason = "an alias stands inside what it refers to"
            raise self._fault(reason, mark)
        else:
            self.values += self.sizes[id(node)]
        refuse_above(self.values, self.most, f"{self.source} has {{}} values or more", _SETTING)
        return node

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Read a mapping, whose keys are all different; those that it merges may be replaced."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if (other := first.setdefault((key.tag, key.value), key)) is not key:
                line = other.start_mark.line + 1
                reason = f"the key {shown(key.value)} is given twice, first in line {line}"
                raise self._fault(reason, key.start_mark)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT001  PyYAML's signature
        """Return the value of a node; a number that cannot be read is an error of YAML."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
            # PyYAML's own constructors, of `!!int ""` or a date in the month 13
            kind = node.tag.rpartition(":")[2]
            reason = f"{shown(node.value)} cannot be read as {kind}"
            raise self._fault(reason, node.start_mark) from None

    def _fault(self, reason: str, mark: yaml.Mark | None = None) -> yaml.YAMLError:
        line = (mark or self.peek_event().start_mark).line + 1
        return yaml.YAMLError(f"line {line}: {reason}")
