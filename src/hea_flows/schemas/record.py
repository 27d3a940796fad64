"""What every record of a document or campaign file is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

#: What monty adds to say which class a record is of.
_TAGS = ("@module", "@class", "@version")


class _OnInstances:
    """A method that the class itself does not show.

    monty calls ``as_dict`` of whatever has it, also of the output schema of a job, a class.
    """

    def __init__(self, method: Callable[[Any], dict[str, Any]]) -> None:
        self.method = method

    def __get__(self, instance: object | None, owner: type) -> Callable[[], dict[str, Any]]:
        if instance is None:
            raise AttributeError
        return partial(self.method, instance)


class Record(BaseModel):
    """A part of a document; unknown keys are errors, jobflow's class tags are dropped."""

    model_config = ConfigDict(
        extra="forbid", ser_json_inf_nan="constants", ignored_types=(_OnInstances,)
    )

    @model_validator(mode="before")
    @classmethod
    def _untag(cls, data: object) -> object:
        if isinstance(data, dict):
            data = data.copy()
            for tag in _TAGS:
                data.pop(tag, None)
        return data

    @_OnInstances
    def as_dict(self) -> dict[str, Any]:
        """Return the record as monty serialises it, so that Makers may hold records."""
        cls = type(self)
        return {"@module": cls.__module__, "@class": cls.__name__, **self.model_dump()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the record that `as_dict` described."""
        return cls.model_validate(data)
