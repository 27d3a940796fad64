"""What every Maker has to keep."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any, TypeVar

from jobflow import Maker
from monty.json import MontyDecoder, MontyEncoder

M = TypeVar("M", bound=Maker)


def check_maker(maker: M) -> M:
    """Check that a Maker is a value: it survives JSON, and jobflow's updates change what they say.

    Returns
    -------
    again
        The Maker after JSON, as workers have it.

    Raises
    ------
    AssertionError
        Saying what is not kept.
    """
    one: Any = maker
    assert fields(one)[0].name == "name", "the first field of a Maker is its name"
    again: M = json.loads(json.dumps(one, cls=MontyEncoder), cls=MontyDecoder)
    assert again == maker, f"{maker} is {again} after JSON"
    assert type(one).from_dict(one.as_dict()) == one, "from_dict does not take as_dict"
    updated = one.update_kwargs({"name": "renamed"}, nested=False)
    assert updated == replace(one, name="renamed"), "update_kwargs changes more than it says"
    return again
