"""Text without secrets."""

from __future__ import annotations

import os
import re

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


def redact(text: str) -> str:
    """Remove secrets from a text.

    Removed are users and passwords of URIs, values that are assigned to names such as password or
    token, and the values of such variables of the environment.
    """
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return _ASSIGNED.sub(r"\1***", _USER.sub(r"\1***@", text))
