"""Reading the notation of structure sets.

Grammar (blanks are free, but put them around a minus that follows a name)::

    set      := term (("+" | "-") term)*        union, difference (by identity)
    term     := primary ("[" element, ... "]")* as if the alloy had these elements only
    primary  := N "(" size, ... ")"             all N-component structures of these sizes
              | "E(" size, ... ["components=2"] ")"                all equimolar structures
              | "random(" cell, options ")"     n=, components=, x=, grid=, equimolar,
                                                per=combination, primitive, draw=
              | "sqs(" cell or size, options ")"                   components=, x=, grid=, steps=,
                                                                   draw=
              | "anneal(" set "," 50% or number, options ")"       best-conditioned part;
                                                                   steps=, draw=
              | "dataset(" file ")"                 what a dataset holds: its card, or the name
                                                    of a shipped one
              | name | "(" set ")"
    size     := number | number ".." number
    cell     := 4x4 | 2x2x2
    x=       := share | share ".." share        of the first element, by symbol, of binaries
              | "{" element ":" share, ... "}"  exact shares that add up to 1: these elements only
              | "{" element ":" share ".." share, ... "}"      drawn within ranges, other elements
                                                               in use at any share
    share    := 1/6 | 0.4
    grid=    := number                          compositions of all elements in steps of 1/number
    file     := path ending in .json, in double quotes if it holds blanks or other signs
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any, NoReturn

from hea_flows.alloy.sets.drawn import Drawn
from hea_flows.alloy.sets.shares import Shares
from hea_flows.alloy.sets.terms import (
    Annealed,
    Combined,
    Enumerated,
    Equimolar,
    Listed,
    Restricted,
    SetError,
    Term,
)
from hea_flows.inputs import cut, shown

_TOKEN = re.compile(
    r'\s*(?:(?P<file>"[^"]+"|[\w.~/][\w.~/-]*\.json)|'
    r"(?P<cell>[0-9]+[x×][0-9]+(?:[x×][0-9]+)?)|(?P<decimal>[0-9]+\.[0-9]+)|(?P<int>[0-9]+)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*)|(?P<sign>\.\.|[-+()\[\]{},:=/%]))"
)
_MOST_CHARACTERS = 5_000
#: Largest size of an enumerated cell, and digits of any number: no set has more.
_MOST_CELLS, _MOST_DIGITS = 200, 9
#: An expression has at most so many terms and lists of elements, and brackets inside each other.
_MOST_TERMS, _MOST_NESTED = 200, 30
_FUNCTIONS = ("E", "random", "sqs", "anneal", "dataset")
_FLAGS = ("equimolar", "primitive")
_OPTIONS = {
    "E": ("components",),
    "random": ("n", "components", "x", "grid", "equimolar", "per", "primitive", "draw"),
    "sqs": ("components", "x", "grid", "steps", "draw"),
    "anneal": ("steps", "draw"),
}


class Parser:
    """Recursive descent over the tokens of one expression.

    Parameters
    ----------
    text
        The expression.
    named
        Expressions of named sets, keys in lower case.
    inside
        Named sets that are being read, outermost first.
    base
        Position to report for terms of a named set: that of its name in the outermost text.
    """

    def __init__(
        self,
        text: str,
        named: Mapping[str, str],
        inside: tuple[str, ...] = (),
        base: int | None = None,
    ) -> None:
        self.text, self.named, self.inside, self.base = text, named, inside, base
        self.tokens: list[tuple[str, str, int]] = []
        start, end = 0, len(text.rstrip())
        if end > _MOST_CHARACTERS:
            self.fail(f"an expression has at most {_MOST_CHARACTERS} characters, got {end}", end)
        while start < end:
            match = _TOKEN.match(text, start)
            if match is None:
                at = len(text) - len(text[start:].lstrip())
                self.fail(f"{text[at]!r} has no meaning here", at)
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind], match.start(kind)))
            start = match.end()
        self.tokens.append(("end", "the end", end))
        self.index = self.terms = self.nested = 0

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        """Raise the one-line error at a position, by default that of the next token."""
        at = self.tokens[self.index][2] if at is None else at
        where = f" of set {self.inside[-1]!r}" if self.inside else ""
        msg = f"set expression {shown(self.text)}{where}, position {at + 1}: {reason}"
        raise SetError(msg)

    def place(self, start: int) -> int:
        """Return the position that a term starting at an offset reports."""
        return start + 1 if self.base is None else self.base

    def peek(self, *values: str) -> bool:
        """Tell whether the next token is one of these."""
        return self.tokens[self.index][1] in values and self.tokens[self.index][0] != "end"

    def take(self, kind: str, expected: str) -> str:
        """Consume a token of a kind, or (kind ``sign``) exactly `expected`."""
        actual, value, _ = self.tokens[self.index]
        if actual != kind or (kind == "sign" and value != expected):
            self.fail(f"expected {expected}, found {cut(value)}")
        self.index += 1
        return value

    def parse(self) -> Term:
        """Return the tree of the whole text."""
        term = self.sum()
        if self.tokens[self.index][0] != "end":
            self.fail(f"expected +, - or the end, found {cut(self.tokens[self.index][1])}")
        return term

    def sum(self) -> Term:
        """Read terms joined by + and -."""
        self.nested += 1
        if self.nested > _MOST_NESTED:
            self.fail(f"more than {_MOST_NESTED} brackets are inside each other")
        term = self.restricted()
        while self.peek("+", "-"):
            sign = self.take("sign", self.tokens[self.index][1])
            term = Combined(term, sign, self.restricted(), term.at)
        self.nested -= 1
        return term

    def count_term(self) -> None:
        """Count a term or a list of elements."""
        self.terms += 1
        if self.terms > _MOST_TERMS:
            self.fail(f"a set has at most {_MOST_TERMS} terms")

    def restricted(self) -> Term:
        """Read a primary and its element lists."""
        term = self.primary()
        while self.peek("["):
            start = self.tokens[self.index][2]
            self.count_term()
            self.take("sign", "[")
            elements = [self.take("name", "an element")]
            while self.peek(","):
                self.take("sign", ",")
                elements.append(self.take("name", "an element"))
            self.take("sign", "]")
            if len(set(elements)) != len(elements):
                self.fail(f"an element is named twice in [{','.join(elements)}]", start)
            term = Restricted(term, tuple(sorted(elements)), self.place(start))
        return term

    def primary(self) -> Term:
        """Read one set: counts, a function, a name or a bracket."""
        kind, value, start = self.tokens[self.index]
        self.count_term()
        if self.peek("("):
            self.take("sign", "(")
            term = self.sum()
            self.take("sign", ")")
            return term
        if kind == "int":
            components = self.positive("the number of components")
            self.take("sign", "(")
            sizes = self.sizes(components)
            self.take("sign", ")")
            return Enumerated(components, sizes, self.place(start))
        if kind != "name":
            accepted = f"{'(…), '.join(_FUNCTIONS)}(…)"
            self.fail(f"expected N(sizes), {accepted}, a name or '(', found {cut(value)}")
        self.index += 1
        if not self.peek("("):
            return self.named_set(value, start)
        if value not in _FUNCTIONS:
            hint = "; put blanks around a minus that follows a name" if "-" in value else ""
            accepted = ", ".join(_FUNCTIONS)
            self.fail(f"{shown(value)} is no function; accepted: {accepted}{hint}", start)
        self.take("sign", "(")
        term = self.function(value, start)
        self.take("sign", ")")
        return term

    def named_set(self, name: str, start: int) -> Term:
        """Return the tree of a named set."""
        key = name.lower()
        if key in self.inside:
            self.fail(f"set {shown(name)} refers to itself", start)
        if key not in self.named:
            near = key[:50]  # the search takes long for a long one
            close = difflib.get_close_matches(near, self.named, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "see configs/sets.yaml"
            self.fail(f"no set is called {shown(name)}; {hint}", start)
        inside = (*self.inside, key)
        return Parser(self.named[key], self.named, inside, self.place(start)).parse()

    def function(self, name: str, start: int) -> Term:
        """Return the term of one function, its name and bracket being read."""
        at = self.place(start)
        if name == "dataset":
            return self.listed(at)
        if name == "E":
            sizes = self.sizes(1)
            options = self.options(name)
            return Equimolar(sizes, options.get("components"), at)
        if name == "anneal":
            inner = self.sum()
            self.take("sign", ",")
            amount = self.positive("a share such as 50% or a number")
            text = str(amount)
            if self.peek("%"):
                text += self.take("sign", "%")
                if amount > 100:
                    self.fail(f"a share is at most 100%, got {text}", start)
            return Annealed(inner, text, **self.options(name), at=at)
        return self.drawn(name, start)

    def drawn(self, name: str, start: int) -> Term:
        """Return the term of ``random`` or ``sqs``, its name and bracket being read."""
        if name == "sqs" and self.tokens[self.index][0] == "int":
            cell = str(self.size())
        else:
            cell = self.take("cell", "a supercell such as 4x4 or 2x2x2").replace("×", "x")
            if any(not 1 <= len(n.lstrip("0")) <= 4 for n in cell.split("x")):
                self.fail(f"supercell {cut(cell)}: repetitions are 1 to 9999", start)
        given = self.options(name)
        x, compositions = given.get("x", ()), given.keys() & {"x", "grid", "equimolar"}
        if len(compositions) > 1:
            self.fail(f"give one of {', '.join(sorted(compositions))}", start)
        shares = x if isinstance(x, Shares) else None
        if shares is not None and (taken := given.keys() & {"components", "per"}):
            self.fail(f"x= names the elements: leave out {min(taken)}=", start)
        if shares is not None and name == "sqs" and not shares.is_exact:
            self.fail("an sqs has one composition: give exact shares, which add up to 1", start)
        if x and shares is None and given.get("components") != (2, 2):
            self.fail(
                "x= is the concentration in a binary: add components=2, or name the elements, "
                "x={Mo: 0.4, V: 0.6}",
                start,
            )
        return Drawn(
            name,
            cell,
            n=given.get("n", 1),
            components=given.get("components"),
            fractions=() if shares else x,
            grid=given.get("grid", 0),
            shares=shares,
            equimolar="equimolar" in given,
            per_combination="per" in given,
            primitive="primitive" in given,
            draw=given.get("draw", 0),
            steps=given.get("steps", 0),
            at=self.place(start),
        )

    def listed(self, at: int) -> Term:
        """Read the file of a dataset, or the name of a shipped one."""
        kind, value, _ = self.tokens[self.index]
        if kind not in ("file", "name"):
            self.fail(f"expected the card of a dataset, such as own.json, found {cut(value)}")
        self.index += 1
        return Listed(value.strip('"'), at)

    def options(self, function: str) -> dict[str, Any]:
        """Read ``, option=value`` and ``, flag`` up to the closing bracket."""
        given: dict[str, Any] = {}
        while self.peek(","):
            self.take("sign", ",")
            start = self.tokens[self.index][2]
            accepted = ", ".join(o if o in _FLAGS else f"{o}=" for o in _OPTIONS[function])
            key = self.take("name", f"an option ({accepted})")
            if key not in _OPTIONS[function]:
                self.fail(f"{function} has no option {shown(key)}; accepted: {accepted}", start)
            if key in given:
                self.fail(f"option {key!r} is given twice", start)
            if key not in _FLAGS:
                self.take("sign", "=")
            given[key] = True if key in _FLAGS else self.value(key)
        return given

    def value(self, key: str) -> Any:  # noqa: ANN401  (each option has its own type)
        """Read the value of one option."""
        if key == "per":
            word = self.take("name", "combination")
            if word != "combination":
                self.fail(f"per= accepts combination, found {cut(word)}")
            return word
        if key == "components":
            read = partial(self.positive, "a number of components")
            low = read()
            return low, self.upper(low, read)
        if key == "x":
            return self.shares() if self.peek("{") else self.fractions()
        return self.positive(f"a number for {key}=")

    def upper(self, low: int, read: Callable[[], int]) -> int:
        """Read ``..high`` if it is there; otherwise return `low`."""
        if not self.peek(".."):
            return low
        self.take("sign", "..")
        start = self.tokens[self.index][2]
        high = read()
        if high < low:
            self.fail(f"the range {low}..{high} runs backwards", start)
        return high

    def shares(self) -> Shares:
        """Read ``{Mo: 0.4, V: 0.1..0.2}``."""
        start = self.tokens[self.index][2]
        ranges: dict[str, tuple[Fraction, Fraction]] = {}
        while not self.peek("}"):
            self.take("sign", "," if ranges else "{")
            element = self.take("name", "an element")
            if element in ranges:
                self.fail(f"{element} is named twice", start)
            self.take("sign", ":")
            ends = self.ends()
            ranges[element] = (ends[0], ends[-1])
        self.take("sign", "}")
        try:
            return Shares(tuple((e, *ranges[e]) for e in sorted(ranges)))
        except ValueError as error:
            self.fail(str(error), start)

    def ends(self) -> list[Fraction]:
        """Read ``1/6``, or both ends of ``1/6..5/6``."""
        ends = [self.fraction()]
        if self.peek(".."):
            self.take("sign", "..")
            ends.append(self.fraction())
        return ends

    def fractions(self) -> tuple[Fraction, ...]:
        """Read ``1/6`` or ``1/6..5/6``, in steps of one over the common denominator."""
        start = self.tokens[self.index][2]
        ends = self.ends()
        step = Fraction(1, max(end.denominator for end in ends))
        low, high = ends[0], ends[-1]
        if not 0 < low <= high < 1 or (high - low) % step:
            self.fail("x= runs upwards between 0 and 1, such as 1/6..5/6", start)
        if (high - low) / step >= _MOST_CELLS:
            self.fail(f"x= gives at most {_MOST_CELLS} concentrations", start)
        return tuple(low + i * step for i in range(int((high - low) / step) + 1))

    def fraction(self) -> Fraction:
        """Read ``1/6``, ``0.4``, or a whole number."""
        kind, value, start = self.tokens[self.index]
        if kind == "decimal":
            self.index += 1
            if len(value) > _MOST_DIGITS:
                self.fail(f"a share has at most {_MOST_DIGITS} characters, got {cut(value)}", start)
            return Fraction(value)
        if value == "0":
            self.index += 1
            return Fraction(0)
        numerator = self.positive("a share such as 1/6 or 0.4")
        if not self.peek("/"):
            return Fraction(numerator)
        self.take("sign", "/")
        return Fraction(numerator, self.positive("a denominator"))

    def positive(self, expected: str) -> int:
        """Read a whole number from 1."""
        start = self.tokens[self.index][2]
        digits = self.take("int", expected).lstrip("0")
        if not digits:
            self.fail(f"{expected} must be at least 1, got 0", start)
        if len(digits) > _MOST_DIGITS:
            self.fail(f"{expected} has at most {_MOST_DIGITS} digits, got {cut(digits)}", start)
        return int(digits)

    def size(self) -> int:
        """Read a number of primitive cells."""
        start = self.tokens[self.index][2]
        size = self.positive("a size")
        if size > _MOST_CELLS:
            self.fail(f"sizes are at most {_MOST_CELLS} cells, got {size}", start)
        return size

    def sizes(self, least: int) -> tuple[int, ...]:
        """Read sizes and ranges of sizes, none below `least`; return them sorted."""
        sizes: set[int] = set()
        while True:
            start = self.tokens[self.index][2]
            low = self.size()
            if low < least:
                self.fail(f"{low} cells cannot hold {least} components", start)
            sizes.update(range(low, self.upper(low, self.size) + 1))
            if not (self.peek(",") and self.tokens[self.index + 1][0] == "int"):
                return tuple(sorted(sizes))
            self.take("sign", ",")
