"""What a hostile or unlucky person may type or point at, and what has to come of it.

A case is drawn by Hypothesis, and tried: it is accepted, or refused by a foreseen error in one
line, within ten seconds of CPU time, and a refusal writes nothing. `tests/fuzz` tries a few
hundred cases of each kind, `benchmarks/fuzz.py` as many as it is asked for.
"""

from __future__ import annotations

import bz2
import contextlib
import copy
import datetime as dt
import gzip
import io
import lzma
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

#: Limits under which what is accepted is built in seconds.
ENVIRONMENT = {
    "HEA_FLOWS_MAX_STRUCTURES": "300",
    "HEA_FLOWS_MAX_SET_SECONDS": "0.3",
    "HEA_FLOWS_MAX_YAML_VALUES": "2000",
    "HEA_FLOWS_MAX_FRAMES_MB": "20",
    # nobody answers here
    "HEA_FLOWS_MONGODB_URI": "mongodb://user:geheim@127.0.0.1:9/?serverSelectionTimeoutMS=1",
}
ACCEPTED = "accepted"
MOST_SECONDS, MOST_MEMORY, LONGEST_LINE = 10.0, 1_000_000_000, 2_001
SECRET = "geheim"  # noqa: S105  nobody's

# --- values that nobody means

_DEEP: Any = 1
for _ in range(40):
    _DEEP = [_DEEP]
ODD = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, -1, 1, 2, 10**9, 10**20, -(10**400), 10**400, 0.5, 1e308),
            *(-1e308, 5e-324, float("inf"), float("nan"), "", " ", "a" * 5000, "1e400", "true"),
            *("/dev/zero", "/", "..", "~", "\x00", "\u2028", "a\nb", "(" * 300, "2(2)", "Mo", "X"),
            *("%s", "{}", "mongodb://user:geheim@h/", "chgnet:0.3.0", "mace", "archive", "vasp"),
            *([], {}, [[]], [{}], {"": ""}, {1: 2}, {None: None}, {True: 1}, b"\xff", _DEEP),
            *(list(range(50)), {f"k{i}": i for i in range(50)}, dt.date(1, 1, 1), {"a", "b"}),
        ]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
)


def _places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all values below a value."""
    if not isinstance(data, dict | list):
        return []
    items = data.items() if isinstance(data, dict) else enumerate(data)
    return [p for k, v in items for p in [(*at, k), *_places(v, (*at, k))]]


@st.composite
def changed(draw: st.DrawFn, valid: list[dict[str, Any]]) -> dict[str, Any]:
    """Change a valid mapping in one to three places."""
    data = copy.deepcopy(draw(st.sampled_from(valid)))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        if places := _places(data):
            _change(draw, data, places)
    return data


def _change(draw: st.DrawFn, data: Any, places: list[tuple[Any, ...]]) -> None:
    """Change a value of a mapping, or its key."""
    *parents, key = places[draw(st.integers(0, 10**6)) % len(places)]  # the first are no likelier
    parent = _at(data, parents)
    value = parent[key]
    match draw(st.sampled_from(["odd", "odd", "drop", "rename", "wrap", "swap", "add"])):
        case "drop":
            del parent[key]
        case "rename" if isinstance(parent, dict):
            parent[draw(st.text(max_size=8) | st.just("a" * 5000) | st.integers())] = value
        case "wrap":
            parent[key] = draw(st.sampled_from([[value], {"a": value}, [value] * 3, [[value]]]))
        case "swap":
            parent[key] = copy.deepcopy(_at(data, draw(st.sampled_from(places))))
        case "add" if isinstance(parent, dict):
            parent[draw(st.sampled_from(_NAMES) | st.text(max_size=8))] = draw(ODD)
        case _:
            parent[key] = copy.deepcopy(draw(ODD))


def _at(data: Any, place: Sequence[Any]) -> Any:
    return reduce(lambda value, key: value[key], place, data)


@st.composite
def marred(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Change characters and lines of a text."""
    text = draw(texts)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        lines = text.split("\n")
        match draw(st.sampled_from(["insert", "delete", "repeat", "line", "cut"])):
            case "insert":
                text = text[:at] + draw(st.text(max_size=6) | st.sampled_from(_BITS)) + text[at:]
            case "delete":
                text = text[:at] + text[at + draw(st.integers(1, 10)) :]
            case "repeat":
                text = text[:at] + text[at : at + 5] * draw(st.sampled_from([2, 50, 2000]))
            case "line":
                line = draw(st.sampled_from(lines))
                text = "\n".join([*lines, line])
            case "cut":
                text = text[:at]
    return text


_BITS = ["\t", "&a ", "*a", "<<: *a", "!!python/name:os.system ", "!!int ", "? ", "---\n", "%", "|"]
_BITS += ["[" * 50, "9" * 4500, "1e999", ": ", "- ", "#", "'", '"', "{", "}", "\x00", "\ufeff"]


@st.composite
def weighted(draw: st.DrawFn, *parts: tuple[int, st.SearchStrategy[Any]]) -> Any:
    """Draw from one of several strategies, as often as its weight says."""
    return draw(draw(st.sampled_from([part for weight, part in parts for _ in range(weight)])))


# --- campaign files

_CAMPAIGN: dict[str, Any] = {
    "name": "a",
    "title": "A campaign",
    "seed": 3,
    "alloy": {"elements": ["Mo", "W", "Ta"], "prototype": "2H-MX2", "anion": "S", "vacuum": 15.0},
    "structures": [
        {"set": "1(1)+2(2)", "use": "training"},
        {"set": "random(2x2, n=1, components=2)", "use": "held-out"},
    ],
    "labels": {
        "engine": "archive",
        "options": {"calculation": "either", "dataset": "pbe-mo-ta-nb-w-v-s2"},
    },
    "model": "chgnet:0.3.0",
    "training": {
        "epochs": 3,
        "batch_size": 2,
        "learning_rate": 0.003,
        "weights": {"energy": 100, "forces": 10, "stress": 1},
        "method": {"kind": "frozen", "through": "interactions"},
        "offsets": {"Mo": 1.0, "W": 2.0},
    },
    "benchmark": {"relaxed": True, "fmax": 0.05, "max_steps": 10},
    "dataset": {"split_by": "frame", "fractions": [0.8, 0.1, 0.1], "max_missing": 2},
    "monte_carlo": {"supercell": "3x3", "temperatures": [300, 600], "runs": 2, "shells": [1, 2]},
}
_STUDY: dict[str, Any] = {
    "name": "study",
    "alloy": {"elements": ["Nb", "Ta"], "prototype": "bcc"},
    "labels": {"engine": "archive"},
    "model": "mace",
    "models": [
        {"name": "Binaries", "set": "1(1)+2(2)", "seeds": [1, 2]},
        {"name": "Slow", "set": "1(1)", "training": {"learning_rate": 0.0003}},
    ],
    "test_sets": {"B": "2(2)", "C": {"set": "2(3)", "relaxed": False}},
    "grow": {"sets": ["1(1)", "2(2)"], "test_set": "C", "tolerance": 0.5, "geometry": "fixed"},
    "monte_carlo": {
        "supercell": "2x2x2",
        "temperatures": {"from": 200, "to": 1600, "n": 4},
        "preset": "paper",
    },
    "thermodynamics": {
        "sqs": {2: "2x2x2"},
        "sqs_steps": 10,
        "random_supercell": "2x2x2",
        "n_random": 4,
        "vibrations": {"t_max": 1000},
    },
}
_NAMES = [*sorted({str(p[-1]) for data in (_CAMPAIGN, _STUDY) for p in _places(data)}), "@class"]


def _dumped(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def campaign_files() -> st.SearchStrategy[str]:
    """Draw the text of a campaign file."""
    valid = [_CAMPAIGN, _STUDY]
    structured = changed(valid).map(_dumped)
    raw = st.one_of(
        ODD.map(_dumped),
        st.text(),
        st.lists(st.sampled_from(_BITS + _NAMES), max_size=12).map("".join),
    )
    spoiled = marred(st.sampled_from([*map(_dumped, valid)]))
    return weighted((7, structured), (2, spoiled), (1, raw))


def try_campaign(text: str, folder: Path) -> None:
    """Read a campaign file, and make what it describes."""
    from hea_flows.config import load_campaign
    from hea_flows.flows import CampaignMaker

    path = folder / "a.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with refusal_writes_nothing(folder):
        campaign, source = load_campaign(path)
        CampaignMaker.from_campaign(campaign).make(campaign, source)


# --- set expressions


_LARGE = ["0", "00", "20", "200", "999", "30000000", "9" * 12, "9" * 500]


@st.composite
def _number(draw: st.DrawFn, high: int = 4) -> str:
    """Draw a small number; one of twenty is none that is meant."""
    return draw(st.sampled_from(_LARGE)) if _rarely(draw) else str(draw(st.integers(1, high)))


def _rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 19)) == 7  # not 0, which Hypothesis likes


@st.composite
def _range(draw: st.DrawFn, high: int = 5) -> str:
    low = draw(_number(high))
    if not low.isdigit() or draw(st.booleans()):
        return low
    return f"{low}..{int(low[:18]) + draw(st.integers(-1 if _rarely(draw) else 0, 2))}"


@st.composite
def _options(draw: st.DrawFn, *names: str) -> str:
    """Draw options that a function has; one of twenty it has not."""
    values = {
        "components": _range(3),
        "x": st.sampled_from(["1/2", "1/4..3/4", "1/3", "1/6..5/6", "3/2", "1/999999..1/2"]),
        "grid": _number(6),
        "x={Mo": st.sampled_from(
            [
                ": 0.5, W: 1/2}",
                ": 0..0.5}",
                ":0.3}",
                ": 0.5, V: 0.5}",
                ": 0.4, W: 0.7}",
                "}",
                ": 1}",
            ]
        ),
        **dict.fromkeys(("n", "draw"), _number()),
        "steps": st.sampled_from(["10", "20", "999999999"]),
        "per": st.just("combination"),
    }
    if _rarely(draw):
        names = ("m", "n", "x", "equimolar", "components")
    chosen = draw(st.lists(st.sampled_from(names), max_size=3, unique=not _rarely(draw)))
    if "x" in chosen and not _rarely(draw):
        chosen = [name for name in chosen if name not in {"components", "equimolar"}]
    parts = []
    for name in chosen:
        sign = "" if "{" in name else "="
        parts.append(f"{name}{sign}{draw(values[name])}" if name in values else name)
        parts += ["components=2"] if name == "x" else []
    return "".join(f", {part}" for part in parts)


def _cells() -> st.SearchStrategy[str]:
    sides = st.lists(_number(), min_size=2, max_size=2) | st.lists(_number(), max_size=3)
    return st.one_of(st.sampled_from(["2x2", "3x3", "2x3"]), sides.map("x".join))


def _atoms() -> st.SearchStrategy[str]:
    """Draw one set."""
    sizes = st.lists(_range(), min_size=1, max_size=2).map(",".join)
    drawn = ("n", "components", "x", "x={Mo", "grid", "equimolar", "per", "primitive", "draw")
    return st.one_of(
        st.builds(lambda n, more: f"{n}({n}{more})", _number(), st.sampled_from(["", "..4", ",5"])),
        st.builds(lambda n, s: f"{n}({s})", _number(), sizes),
        st.builds(lambda s, o: f"E({s}{o})", sizes, _options("components")),
        st.builds(lambda c, o: f"random({c}{o})", _cells(), _options(*drawn)),
        st.builds(
            lambda c, o: f"sqs({c}{o})", _cells(), _options("components", "x", "x={Mo", "grid")
        ),
        st.builds(lambda n: f"sqs({n}, steps=10)", _number()),
        st.sampled_from(["model-4", "Database-2", "model", "E", "1(1)", "2(2)", "2(20)", "E(2,4)"]),
    )


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    elements = st.lists(st.sampled_from(["Mo", "W"]), min_size=1, max_size=2, unique=True)
    amounts = st.sampled_from(["50%", "1", "2", "0%", "120%", "9" * 12])
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", " - "]), inner).map("".join),
        inner.map(lambda s: f"({s})"),
        st.builds(lambda s, e: f"({s})[{','.join(e)}]", inner, elements),
        st.builds(
            lambda s, n, o: f"anneal({s}, {n}, steps=20{o})", inner, amounts, _options("draw")
        ),
    )


def set_expressions() -> st.SearchStrategy[str]:
    """Draw the text of a set expression."""
    written = st.recursive(_atoms(), _joined, max_leaves=3)
    return weighted((7, written), (2, marred(written)), (1, st.text(max_size=40)))


def try_set(expression: str, folder: Path) -> str:
    """Show a set."""
    elements = ["Mo,W", "Mo,Ta,Nb,W,V", "Fe,Cr"][len(expression) % 3]
    arguments = [f"--elements={elements}"]
    if elements == "Fe,Cr":
        arguments += ["--prototype=bcc", "--anion="]
    return run_command(
        ["sets", "show", *arguments, "-o", str(folder / "o.xyz"), "--", expression], folder
    )


# --- command lines

_VERBS = [
    *(["sets", "show"], ["sets", "list"], ["sets", "prototypes"], ["deed"], ["estimate"]),
    *(["query"], ["show"], ["report"], ["export", "dataset"], ["export", "model"]),
    *(["export", "chains"], ["status"], ["hull"], ["figures"], ["submit"], ["run"], []),
]
_FLAGS = [
    *("--kind", "--campaign", "--full", "--provenance", "-o", "--output", "--title", "--note"),
    *("--sigma", "--h-ave", "--h-hull", "--atoms-per-unit", "--elements", "--prototype", "--seed"),
    *("--anion", "--workers", "--which", "--format", "--all", "--settings", "--calculation", "-h"),
    *("--again", "--recover", "--help", "--nope", "--"),
]
_WORDS = [
    *("0", "1", "-1", "nan", "inf", "1e308", "9" * 400, "", " ", "a" * 5000, "quickstart", "2(2)"),
    *("/", "/dev/null", "/nowhere/x.svg", "a\x00b", "\udcff", "x.svg", "x.json", "benchmark"),
    *("{}", "[", "*", "%s", "Mo,W", "Mo,,W", "bcc", "[red]", "\u202e", "../../x", "label", "."),
]


def command_lines() -> st.SearchStrategy[list[str]]:
    """Draw the arguments of a verb that starts no database and no worker."""
    words = st.one_of(st.sampled_from(_FLAGS), st.sampled_from(_WORDS), st.text(max_size=10))
    return st.builds(list.__add__, st.sampled_from(_VERBS), st.lists(words, max_size=6))


def try_command(arguments: list[str], folder: Path) -> str:
    """Run a command line."""
    return run_command(arguments, folder)


# --- files of frames

_FRAME = """\
3
Lattice="3.2 0 0 -1.6 2.77 0 0 0 18" Properties=species:S:1:pos:R:3:forces:R:3 energy=-21.5 \
stress="1e-3 0 0 0 1e-3 0 0 0 0" structure_id=ab12 pbc="T T F"
Mo 0.0 0.0 9.0 0.1 0.0 0.0
S 0.0 1.8 10.5 -0.1 0.0 0.0
S 0.0 1.8 7.5 0.0 0.0 0.0
"""
_COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}
Frames = tuple[str, str, int]


def frames_files() -> st.SearchStrategy[Frames]:
    """Draw the text of an extended XYZ file, its suffix, and how many bytes are missing."""
    claims = st.sampled_from(["1" + "0" * 12, "9" * 500, "-3", "3.0", "0", "2", "", "x"])
    columns = st.sampled_from(["R:1000000000", "R:0", "R:-3", "X:3", "I:3", "S:3", "L:3", "R"])
    values = st.sampled_from(
        ["_JSON [[[[1", "_JSON " + "[" * 3000, '"', "nan", "9" * 5000, "T F", '{"a": 1}', "=", ""]
    )
    texts = st.one_of(
        claims.map(lambda n: _FRAME.replace("3\n", f"{n}\n", 1)),
        columns.map(lambda c: _FRAME.replace("pos:R:3", f"pos:{c}")),
        values.map(lambda v: _FRAME.replace("ab12", v)),
        values.map(lambda v: _FRAME.replace("-21.5", v)),
        st.just(_FRAME * 3),
        st.sampled_from([_FRAME + "x" * 1_500_000, "\x00" * 3_000_000, "1\n\nMo 0 0 0\n" * 20_000]),
        st.text(max_size=60),
    )
    lost = st.sampled_from([0, 0, 0, 1, 20])
    return st.tuples(marred(texts), st.sampled_from(sorted(_COMPRESSED)), lost)


def try_frames(case: Frames, folder: Path) -> None:
    """Read a file of frames."""
    from hea_flows.runtime.extxyz import read_frames

    text, suffix, lost = case
    content = _COMPRESSED[suffix](text.encode("utf-8", "surrogatepass"))
    path = folder / f"f.xyz{suffix}"
    path.write_bytes(content[: len(content) - lost])
    with refusal_writes_nothing(folder):
        read_frames(path)


# --- files of the machine: stores, launchpad, settings

_SERVER = {"database": "d", "host": "127.0.0.1", "port": 9, "username": "user", "password": SECRET}
_STORE: dict[str, Any] = {
    "JOB_STORE": {
        "docs_store": {"type": "MongoStore", "collection_name": "outputs", **_SERVER},
        "additional_stores": {
            "data": {"type": "GridFSStore", "collection_name": "blobs", **_SERVER}
        },
    }
}
_SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "database": "d",
    "local": False,
    "mongodb_uri": "mongodb://user:geheim@127.0.0.1:9/",
    "max_structures": 100,
    "gpaw_command": "mpiexec -n 4 gpaw python",
}
Files = tuple[str, str]


def machine_files() -> st.SearchStrategy[Files]:
    """Draw the texts of a jobflow.yaml and of a settings file."""

    def texts(valid: dict[str, Any]) -> st.SearchStrategy[str]:
        whole = _dumped(valid)
        structured = changed([valid]).map(_dumped)
        return weighted((3, st.just(whole)), (5, structured), (2, marred(st.just(whole))))

    local = {k: v for k, v in _SETTINGS.items() if k != "mongodb_uri"}
    settings = weighted((5, st.just(_dumped(local))), (4, texts(local)), (1, texts(_SETTINGS)))
    return st.tuples(texts(_STORE), settings)


def try_machine(case: Files, folder: Path) -> None:
    """Find the database that these files describe; nothing is connected."""
    from hea_flows.services import find_connection
    from hea_flows.settings import get_settings

    store, settings = case
    paths = {
        "JOBFLOW_CONFIG_FILE": folder / "jobflow.yaml",
        "HEA_FLOWS_SETTINGS_FILE": folder / "s",
    }
    paths["JOBFLOW_CONFIG_FILE"].write_bytes(store.encode("utf-8", "surrogatepass"))
    paths["HEA_FLOWS_SETTINGS_FILE"].write_bytes(settings.encode("utf-8", "surrogatepass"))
    (folder / "my_launchpad.yaml").write_text("host: 127.0.0.1\nport: 9\n")
    before = dict(os.environ)
    os.environ.update({name: str(path) for name, path in paths.items()})
    del os.environ["HEA_FLOWS_MONGODB_URI"]
    try:
        with refusal_writes_nothing(folder):
            if get_settings().mongodb_uri is None:
                find_connection().job_store()
    finally:
        os.environ.clear()
        os.environ.update(before)


#: Kind of case to what draws one, and what tries it in a folder of its own.
KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any, Path], str | None]]] = {
    "campaign": (campaign_files(), try_campaign),
    "set": (set_expressions(), try_set),
    "command": (command_lines(), try_command),
    "frames": (frames_files(), try_frames),
    "machine": (machine_files(), try_machine),
}


def warm_up(kind: str, folder: Path) -> None:
    """Try valid cases without limits, so that what they import counts as idle memory."""
    local = {k: v for k, v in _SETTINGS.items() if k != "mongodb_uri"}
    valid: dict[str, list[Any]] = {
        "campaign": [_dumped(_CAMPAIGN), _dumped(_STUDY)],
        "set": ["2(2)"],
        "command": [["sets", "show", "2(2)"]],
        "frames": [(_FRAME, ".xz", 0)],
        "machine": [(_dumped(_STORE), _dumped(local))],
    }
    with contextlib.chdir(folder):
        for case in valid[kind]:
            KINDS[kind][1](case, folder)


# --- what has to come of it


class HangError(BaseException):
    """A case took too long; no handler of the package may catch it."""


class LeftoverError(AssertionError):
    """A case that was refused wrote something."""


@contextmanager
def limited() -> Iterator[None]:
    """Let a case use ten seconds of CPU time and a gigabyte more than this process has now."""

    def stop(_number: int, _frame: object) -> None:
        msg = f"more than {MOST_SECONDS:g} s of CPU time"
        raise HangError(msg)

    handler = signal.signal(signal.SIGPROF, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_MEMORY, hard))
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def attempt(kind: str, case: Any, folder: Path) -> str:
    """Try one case in an empty folder; return how it ended: accepted, or the line of a refusal.

    Raises
    ------
    Exception
        What the package did not foresee.
    HangError, MemoryError, LeftoverError
        If it took too long or too much, or wrote something though it was refused.
    AssertionError
        If the refusal is no short line.
    """
    from hea_flows.cli.errors import FAULT, describe

    try:
        with contextlib.chdir(folder), limited():
            return KINDS[kind][1](case, folder) or ACCEPTED
    except (LeftoverError, RefusedError):
        raise
    except Exception as error:
        line, code = describe(error)
        if code == FAULT:
            raise
        check_line(line)
        return line


class RefusedError(AssertionError):
    """A command was refused in another way than by one line."""


def check_line(line: str) -> None:
    """Make sure that a refusal is one short line without a secret."""
    wrong = [
        what
        for what, found in {
            "several lines": "\n" in line,
            "empty": not line.strip(),
            "too long": len(line) > LONGEST_LINE,
            "the password": SECRET in line,
            "a traceback": "Traceback" in line,
        }.items()
        if found
    ]
    if wrong:
        msg = f"the refusal is or has {', '.join(wrong)}: {line[:2000]}"
        raise RefusedError(msg)


@contextmanager
def refusal_writes_nothing(folder: Path) -> Iterator[None]:
    """Compare what lies in a folder, and in the home beside it, before and after a refusal."""
    before = _listing(folder)
    try:
        yield
    except Exception as error:
        if written := _listing(folder) - before:
            msg = f"refused ({error}), and wrote {sorted(written)}"
            raise LeftoverError(msg) from error
        raise


def _listing(folder: Path) -> set[str]:
    return {str(p) for root in (folder, Path.home()) for p in root.rglob("*")}


def run_command(arguments: list[str], folder: Path) -> str:
    """Run the command line in this process; return "accepted", or what it said."""
    from hea_flows.cli import main
    from hea_flows.cli.errors import FAULT

    before = _listing(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    if code == 0:
        return ACCEPTED
    if written := _listing(folder) - before:
        msg = f"{arguments} was refused, and wrote {sorted(written)}"
        raise LeftoverError(msg)
    said = err.getvalue()
    if code == FAULT:
        msg = f"{arguments} was not foreseen: {said[:2000]}"
        raise RefusedError(msg)
    if said or not out.getvalue():  # help, and "no document", are said on the standard output
        if not said.startswith("error: "):
            msg = f"{arguments} said {said[:2000]!r}"
            raise RefusedError(msg)
        check_line(said.removeprefix("error: ").removesuffix("\n"))
    return said or out.getvalue()
