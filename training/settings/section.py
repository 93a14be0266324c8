"""Base class of all settings, and checks that several sections share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def each_once(values: tuple[int, ...]) -> tuple[int, ...]:
    """Returns `values` if they are distinct.

    Raises:
        ValueError: a value occurs twice.
    """
    if len(set(values)) < len(values):
        raise ValueError(f"{values} has a value twice; name each once")
    return values


Seeds = Annotated[tuple[int, ...], AfterValidator(each_once)]


def without_passwords(text: str) -> str:
    """`text` with user and password of every URL replaced by `…`, since errors end up in logs."""
    return re.sub(r"//[^/\s'\"]*@", "//…@", text)
