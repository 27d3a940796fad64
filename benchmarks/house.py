"""Counts of the source and the rules of its rooms; `tests/test_house.py` asserts the rules.

    python benchmarks/house.py

A room is a folder with an `__init__.py`, its front. Other rooms import from the front; a room may
look inside the rooms it lies in. Imports count wherever they stand: in functions and under
TYPE_CHECKING too.
"""

from __future__ import annotations

import argparse
import ast
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "hea_flows"
#: Modules that a folder may hold, beside its front.
MOST_MODULES = 14
_SUPPRESSION = re.compile(r"# noqa(?::\s*([A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*))?")
#: What an engine, a model family or a potential is called where it is a variable.
_IMPLEMENTATION = re.compile(r"engine|famil|potential|calculator|maker", re.IGNORECASE)
_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


@dataclass(frozen=True)
class Import:
    """One imported module or name, and where it stands."""

    importer: str
    imported: str
    line: int


@dataclass(frozen=True)
class Default:
    """A `getattr` with a default: ``path:line`` and the call's text."""

    where: str
    text: str

    @property
    def on_implementation(self) -> bool:
        """Whether it asks an engine, a model family or a potential for what it may not have."""
        return bool(_IMPLEMENTATION.search(self.text.partition(",")[0]))


@dataclass(frozen=True)
class Module:
    """A parsed file; `name` is dotted, and for a front the name of its room."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_front(self) -> bool:
        """Whether it is the `__init__.py` of a room."""
        return self.path.name == "__init__.py"

    @property
    def room(self) -> str:
        """The room that it lies in."""
        return self.name if self.is_front else self.name.rpartition(".")[0]

    @cached_property
    def public(self) -> list[str] | None:
        """What `__all__` lists, without names that are computed; None without `__all__`."""
        for node in self.tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(node, ast.AnnAssign):
                target = node.target
            if isinstance(target, ast.Name) and target.id == "__all__":
                return [c.value for c in ast.walk(node.value) if isinstance(c, ast.Constant)]
        return None

    def code_lines(self) -> int:
        """Count the lines that hold code: no blank line, comment or docstring."""
        with tokenize.open(self.path) as file:
            tokens = [t for t in tokenize.generate_tokens(file.readline) if t.type not in _NO_CODE]
        lines = {line for t in tokens for line in range(t.start[0], t.end[0] + 1)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0] if node.body else None
                if first is not None and ast.get_docstring(node, clean=False) is not None:
                    lines -= set(range(first.lineno, first.end_lineno + 1))
        return len(lines)


class House:
    """All modules of a package, parsed once.

    Parameters
    ----------
    source
        Folder of the package.
    """

    def __init__(self, source: Path = SOURCE) -> None:
        self.source = source
        self.modules: dict[str, Module] = {}
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = Module(name, path, ast.parse(path.read_bytes()))

    @property
    def rooms(self) -> list[str]:
        """Names of all rooms."""
        return [name for name, module in self.modules.items() if module.is_front]

    def modules_per_room(self) -> dict[str, int]:
        """Count the modules of each room, without its front and the rooms inside it."""
        inside = (m.room for m in self.modules.values() if not m.is_front)
        return dict(Counter(inside).most_common())

    def rooms_without(self) -> dict[str, str]:
        """Return the rooms whose front lacks a docstring or `__all__`, and what it lacks."""
        lacking = {}
        for room in self.rooms:
            front = self.modules[room]
            parts = {"docstring": ast.get_docstring(front.tree), "__all__": front.public}
            if missing := [name for name, value in parts.items() if value is None]:
                lacking[room] = " and ".join(missing)
        return lacking

    def suppressions(self) -> Counter[str]:
        """Count the rules that `noqa` comments suppress; ``""`` counts the comments."""
        counts: Counter[str] = Counter()
        for module in self.modules.values():
            for match in _SUPPRESSION.finditer(module.path.read_text(encoding="utf-8")):
                counts.update(["", *re.split(r"[,\s]+", match[1] or "all")])
        return counts

    def defaults(self) -> list[Default]:
        """Return every `getattr` with a default."""
        return [
            Default(f"{m.path.relative_to(self.source.parent)}:{n.lineno}", ast.unparse(n))
            for m in self.modules.values()
            for n in ast.walk(m.tree)
            if isinstance(n, ast.Call)
            and isinstance(n.func, ast.Name)
            and n.func.id == "getattr"
            and len(n.args) == 3
        ]

    @cached_property
    def imports(self) -> list[Import]:
        """Every import of a module or name of the package."""
        return [i for m in self.modules.values() for i in self._imports_of(m)]

    def _imports_of(self, module: Module) -> Iterator[Import]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                if name.partition(".")[0] == self.source.name:
                    yield Import(module.name, name, node.lineno)

    def target(self, name: str) -> str:
        """Return the module that an imported name is or comes from."""
        while name not in self.modules:
            name = name.rpartition(".")[0]
        return name

    def reaches_inside(self) -> list[Import]:
        """Return the imports of a room's inside by another room that does not lie in it."""
        found = []
        for one in self.imports:
            target = self.modules[self.target(one.imported)]
            importer = self.modules[one.importer]
            room = self.modules[target.room]
            inside = f"{importer.room}.".startswith(f"{room.name}.")
            # A module that a front lists is a name like any other.
            listed = target.name.rpartition(".")[2] in (room.public or [])
            if not (target.is_front or inside or listed):
                found.append(one)
        return found

    def cycles(self) -> list[list[str]]:
        """Return the import cycles between modules."""
        graph: dict[str, set[str]] = {name: set() for name in self.modules}
        for one in self.imports:
            graph[one.importer].add(self.target(one.imported))
        return cycles(graph)

    def room_cycles(self) -> list[list[str]]:
        """Return the cycles, in each room, between what it holds: its modules and its rooms."""
        found = []
        for room in self.rooms:
            graph: dict[str, set[str]] = {}
            for one in self.imports:
                ends = self._part(room, one.importer), self._part(room, self.target(one.imported))
                if ends[0] and ends[1] and ends[0] != ends[1]:
                    graph.setdefault(ends[0], set()).add(ends[1])
            found += cycles(graph)
        return found

    @staticmethod
    def _part(room: str, module: str) -> str:
        """Return the part of a room that a module is or lies in; empty if it lies elsewhere."""
        prefix = f"{room}."
        if not module.startswith(prefix):
            return ""
        return prefix + module.removeprefix(prefix).partition(".")[0]


def cycles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node, sorted (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            start = stack.index(node)
            component = stack[start:]
            del stack[start:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return sorted(found)


def _show(title: str, rows: Iterable[str]) -> None:
    lines = list(rows)
    print(f"{title}: {len(lines)}")
    for line in lines:
        print(f"  {line}")


def main() -> None:
    """Print every count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, default=SOURCE, help="folder of the package")
    house = House(parser.parse_args().source)
    total = sum(len(m.path.read_text().splitlines()) for m in house.modules.values())
    code = sum(m.code_lines() for m in house.modules.values())
    print(f"files: {len(house.modules)}, lines: {total}, lines of code: {code}")
    print("modules per room:")
    for room, n in house.modules_per_room().items():
        print(f"  {n:3} {room}{'  TOO MANY' if n > MOST_MODULES else ''}")
    _show("rooms that lack", (f"{r}: {what}" for r, what in house.rooms_without().items()))
    rules = house.suppressions()
    print(f"noqa: {rules.pop('')}; {', '.join(f'{n} {rule}' for rule, n in rules.most_common())}")
    defaults = house.defaults()
    theirs = [d for d in defaults if d.on_implementation]
    _show("getattr with a default", (f"{d.where} {d.text}" for d in defaults))
    _show("on engines, families and potentials", (f"{d.where} {d.text}" for d in theirs))
    reaching = house.reaches_inside()
    _show("imports past a front", (f"{i.importer}:{i.line} {i.imported}" for i in reaching))
    _show("cycles between modules", (" ".join(cycle) for cycle in house.cycles()))
    _show("cycles between parts of a room", (" ".join(cycle) for cycle in house.room_cycles()))


if __name__ == "__main__":
    main()
