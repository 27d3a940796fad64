"""Structures that the card of a dataset lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hea_flows.alloy.lattice import Alloy, IntMatrix, Ordering, int_matrix, own_prototype
from hea_flows.inputs import shown

#: The term of a dataset's file in a set expression.
_FILE = re.compile(r'\bdataset\(\s*(?:"([^"]+)"|([^\s")]+\.json))\s*\)')


def find_card(dataset: str) -> Path:
    """Return the card of a dataset: a shipped name, or the path of a card.

    Raises
    ------
    FileNotFoundError
        If there is neither; the message lists what is shipped.
    """
    if dataset.endswith(".json"):
        path = Path(dataset).expanduser()
        if path.is_file():
            return path
    shipped = Path(str(files("hea_flows"))) / "data"
    path = shipped / f"{dataset}.json"
    if path.is_file():
        return path
    names = ", ".join(sorted(p.stem for p in shipped.glob("*.json"))) or "none"
    msg = f"no dataset {shown(dataset)}; give the path of a card (.json) or a shipped name: {names}"
    raise FileNotFoundError(msg)


def located_set(expression: str, locate: Callable[[str], str]) -> str:
    """Return a set expression with the files of its datasets named as a function names them."""
    return _FILE.sub(lambda match: f'dataset("{locate(match[1] or match[2])}")', expression)


def listed_orderings(dataset: str, alloy: Alloy, elements: Sequence[str]) -> list[Ordering]:
    """Return the structures of a dataset that hold no other elements.

    Parameters
    ----------
    dataset
        As in `find_card`.
    alloy, elements
        The host, and which of its elements are in use.

    Raises
    ------
    FileNotFoundError
        If there is no such dataset.
    ValueError
        If its card lists no structures, is of another host, or is damaged.
    """
    path = find_card(dataset)
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        host = _host_name(card["alloy"]["prototype"]), card["alloy"]["anion"]
        entries = [_read(text) for text in card["structures"].values()]
        kept = [entry for entry in entries if set(entry[1]) <= set(elements)]
        own = (alloy.host.name, alloy.anion)
        if host == own:
            return [Ordering(alloy, *entry) for entry in kept]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} is not the card of a dataset that lists its structures ({error!r:.80})"
        raise ValueError(msg) from None
    msg = f"{path.name} is of {host[0]} with anion {host[1]}, the alloy {own[0]} with {own[1]}"
    raise ValueError(msg)


def listing(supercell: IntMatrix, species: Sequence[str]) -> str:
    """Return the line of a card that describes a structure: ``2 0 0, 0 1 0, 0 0 1: Mo W``."""
    rows = ", ".join(" ".join(map(str, row)) for row in supercell)
    return f"{rows}: {' '.join(species)}"


def _host_name(prototype: str | Mapping[str, Any]) -> str:
    """Return the name of a host, which one from a file has from its sites."""
    if isinstance(prototype, str):
        return prototype
    keys = ("vectors", "alloyed_sites", "fixed_sites")
    return own_prototype(*(prototype[key] for key in keys)).name


def _read(line: str) -> tuple[IntMatrix, tuple[str, ...]]:
    rows, _, species = line.partition(":")
    return int_matrix([row.split() for row in rows.split(",")]), tuple(species.split())
