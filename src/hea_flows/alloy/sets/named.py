"""Named structure sets, and set expressions such as ``2(2,3,4)+3(3)``.

The notation is described in `hea_flows.alloy.sets.parser`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sets.cost import AFFORDABLE, SetCost
from hea_flows.alloy.sets.parser import Parser
from hea_flows.alloy.sets.terms import Context, SetError, Term, unique
from hea_flows.inputs import read_yaml, refuse_above, shown

__all__ = [
    "Expression",
    "NamedSet",
    "SetCost",
    "SetError",
    "SetSummary",
    "load_named_sets",
    "named_sets_path",
    "parse",
    "set_summary",
]


@dataclass(frozen=True)
class NamedSet:
    """One entry of ``configs/sets.yaml``."""

    name: str
    expression: str
    label: str = ""
    description: str = ""
    inferred: bool = False
    note: str = ""


@dataclass(frozen=True)
class Expression:
    """A parsed set.

    Parameters
    ----------
    source
        The text as given.
    term
        The root of its tree; named sets are replaced by what they stand for.
    """

    source: str
    term: Term

    @property
    def canonical(self) -> str:
        """Text that two expressions share if they mean the same draws."""
        return self.term.text()

    def build(
        self, alloy: Alloy, seed: int = 0, *, most: SetCost | None = AFFORDABLE
    ) -> list[Ordering]:
        """Return the orderings of the set, no two with the same id.

        Each random term draws from its own generator, seeded by `seed`, its canonical text and
        the elements in use: adding a term never changes the others, and writing one twice adds
        nothing (``draw=1`` asks for other structures).

        Parameters
        ----------
        alloy
            The host and its elements.
        seed
            Of the random terms.
        most
            What it may cost; None for a set that was looked at before.

        Raises
        ------
        SetError
            If the alloy or a cell cannot hold what a term asks for.
        LimitError
            If it costs more; nothing is built then.
        """
        if seed < 0:
            msg = f"the seed must not be negative, got {seed}"
            raise ValueError(msg)
        if most is not None:
            self.check(alloy, most)
        return unique(self.term.build(_context(alloy, seed)))

    def check(self, alloy: Alloy, most: SetCost) -> SetCost:
        """Return what `build` costs, if that is not too much.

        Raises
        ------
        SetError
            If the alloy or a cell cannot hold what a term asks for.
        LimitError
            If it costs more than `most`; the message says how much, and which setting raises it.
        """
        cost, name = self.cost(alloy), f"set {shown(self.source)}"
        refuse_above(
            cost.structures, most.structures, f"{name} has {{}} structures", "max_structures"
        )
        refuse_above(
            cost.seconds, most.seconds, f"{name} takes about {{}} s to build", "max_set_seconds"
        )
        return cost

    def cost(self, alloy: Alloy) -> SetCost:
        """Return what `build` costs, without building anything.

        Raises
        ------
        SetError
            If the alloy or a cell cannot hold what a term asks for.
        """
        return self.term.cost(_context(alloy))


def _context(alloy: Alloy, seed: int = 0) -> Context:
    return Context(alloy, tuple(sorted(alloy.elements)), seed)


def parse(expression: str, named: Mapping[str, NamedSet | str] | None = None) -> Expression:
    """Parse a set expression.

    Parameters
    ----------
    expression
        Text in the notation of `hea_flows.alloy.sets.parser`.
    named
        Sets that can be used by name, upper or lower case; default those of
        ``configs/sets.yaml``.

    Raises
    ------
    SetError
        One line with the position and what is accepted there.
    """
    sets = _shipped() if named is None else named
    texts = {k.lower(): v if isinstance(v, str) else v.expression for k, v in sets.items()}
    return Expression(expression, Parser(expression, texts).parse())


def named_sets_path() -> Path:
    """Return the file of the named sets: of the installed package, or of the repository.

    Raises
    ------
    FileNotFoundError
        If neither holds it.
    """
    packaged = Path(str(resources.files("hea_flows"))) / "configs" / "sets.yaml"
    repository = Path(__file__).parents[4] / "configs" / "sets.yaml"
    for path in (packaged, repository):
        if path.is_file():
            return path
    msg = f"no sets.yaml at {packaged} nor {repository}; reinstall, or give the file yourself"
    raise FileNotFoundError(msg)


def load_named_sets(path: Path | None = None) -> dict[str, NamedSet]:
    """Return the named sets of a file, by name.

    Parameters
    ----------
    path
        YAML mapping of names to ``{expression, label, description, inferred, note}``; default
        that of the package.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If an entry is no mapping, has no expression, or an unknown or badly typed key.
    """
    path = named_sets_path() if path is None else path
    if not path.is_file():
        msg = f"no file of named sets at {path}"
        raise FileNotFoundError(msg)
    raw, _ = read_yaml(path)
    if not isinstance(raw, dict):
        msg = f"{path}: expected a mapping of names to sets, got {type(raw).__name__}"
        raise ValueError(msg)  # noqa: TRY004  (every error of a file's content is a ValueError)
    accepted = {f.name: bool if f.name == "inferred" else str for f in fields(NamedSet)}
    del accepted["name"]
    sets: dict[str, NamedSet] = {}
    for name, entry in raw.items():
        if not isinstance(entry, dict) or "expression" not in entry:
            msg = f"{path}: set {name!r} needs at least 'expression: <text>'"
            raise ValueError(msg)
        for key, value in entry.items():
            if key not in accepted or not isinstance(value, accepted[key]):
                wanted = ", ".join(f"{k} ({t.__name__})" for k, t in accepted.items())
                given = f"{shown(key)}: {shown(value)}"
                msg = f"{path}: set {name!r}: {given} not accepted; keys: {wanted}"
                raise ValueError(msg)
        sets[str(name)] = NamedSet(str(name), **entry)
    return sets


@cache
def _shipped() -> Mapping[str, NamedSet]:
    """Return the package's sets, read once, because every parse needs them."""
    return load_named_sets()


def set_name(expression: str) -> str:
    """Return the label of the named set equal to an expression, else the expression itself."""
    try:
        canonical = parse(expression).canonical
    except ValueError:
        return expression
    for entry in _shipped().values():
        if entry.label and parse(entry.expression).canonical == canonical:
            return entry.label
    return expression


@dataclass(frozen=True)
class SetSummary:
    """What a set holds.

    Parameters
    ----------
    structures, sites
        Number of structures, and of alloyed sites (formula units) in all.
    by_size
        Structures per (number of components, sites), sorted.
    by_combination
        Structures per element combination, sorted by number of elements, then symbols.
    """

    structures: int
    sites: int
    by_size: dict[tuple[int, int], int]
    by_combination: dict[tuple[str, ...], int]


def set_summary(orderings: Sequence[Ordering]) -> SetSummary:
    """Count a set's structures."""
    sizes = Counter((len(o.components), o.n_sites) for o in orderings)
    combinations = Counter(o.components for o in orderings)
    return SetSummary(
        structures=len(orderings),
        sites=sum(o.n_sites for o in orderings),
        by_size=dict(sorted(sizes.items())),
        by_combination=dict(sorted(combinations.items(), key=lambda item: (len(item[0]), item[0]))),
    )
