"""Base class of all settings, and checks that several sections share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings; it is immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def each_once(values: tuple[int, ...]) -> tuple[int, ...]:
    """Returns `values` if they are distinct.

    Raises:
        ValueError: a value occurs twice.
    """
    if len(set(values)) < len(values):
        raise ValueError(f"{values} contains a value twice; give each value once")
    return values


Seeds = Annotated[tuple[int, ...], AfterValidator(each_once)]


def without_passwords(text: str) -> str:
    """Returns `text` with user and password of every URL replaced by `…`, for logs and errors."""
    return re.sub(r"//[^/\s'\"]*@", "//…@", text)
