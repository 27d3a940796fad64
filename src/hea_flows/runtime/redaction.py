"""Text without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: What follows such a word and a colon or an equals sign is a secret; so is the value of a
#: variable of the environment whose name holds one.
_WORDS = "password|passwd|passphrase|secret|token|credential|api_?key|access_?key|private_?key"
_ASSIGNED = re.compile(
    rf"""(\w*(?:{_WORDS})\w*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;)}}\]]+)""", re.IGNORECASE
)
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)\S*@", re.IGNORECASE)
_SECRET = re.compile(_WORDS, re.IGNORECASE)
#: Shorter values, such as 1, would make holes in every text.
_SHORTEST = 6


def redact(text: str, *, also: Mapping[str, Any] | None = None) -> str:
    """Remove secrets from a text.

    Removed are users and passwords of URIs, values that are assigned to names such as password or
    token, and the values of such variables of the environment.

    Parameters
    ----------
    text
        The text.
    also
        What a file holds that the text is about: its secrets are removed too, wherever they stand.
    """
    for value in _values([dict(os.environ), dict(also or {})]):
        text = text.replace(value, "***")
    return _ASSIGNED.sub(r"\1***", _USER.sub(r"\1***@", text))


def _values(content: dict[Any, Any] | list[Any]) -> Iterator[str]:
    """Yield the texts that stand under such names in nested mappings and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in items:
        if isinstance(value, dict | list):
            yield from _values(value)
        elif isinstance(value, str) and len(value) >= _SHORTEST and _SECRET.search(str(name)):
            yield value
