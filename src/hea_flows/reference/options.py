"""Options of engines in a campaign file, compared with the types that the engine declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError

#: Numbers as options: a length or threshold, a count.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**9)]
_SHOWN = 80
_BRANCHES = ("str", "int", "float", "bool")


def checked_options(
    engine: str, owner: type | Callable[..., object], options: Mapping[str, object]
) -> dict[str, Any]:
    """Return options as the annotations of a class or function want them.

    Parameters
    ----------
    engine
        Name of the engine, for messages.
    owner
        Its fields or parameters are the options. An annotation that cannot be evaluated, or that
        pydantic does not know, accepts anything.
    options
        Names, which `owner` has, and values.

    Raises
    ------
    ValueError
        If a value is not what its annotation says.
    """
    try:
        hints = get_type_hints(owner, include_extras=True)
    except NameError:  # imported for the type checker only
        return dict(options)
    return {
        key: _checked(engine, key, hints.get(key, Any), value) for key, value in options.items()
    }


def _checked(engine: str, key: str, hint: Any, value: object) -> Any:  # noqa: ANN401  any type
    try:
        return TypeAdapter(hint).validate_python(value)
    except PydanticUserError:
        return value
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # pydantic names the branch of a union as if it were a key.
        loc = (x for x in first["loc"] if x not in _BRANCHES and not str(x).startswith("list["))
        place = ".".join(map(str, (key, *loc)))
        text = repr(first["input"])[:_SHOWN]
        why = first["msg"].removeprefix("Value error, ")
        msg = f"option {place} of engine {engine!r} is {text}; {why[:1].lower()}{why[1:]}"
        raise ValueError(msg) from None
