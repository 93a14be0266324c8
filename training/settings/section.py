"""What every group of settings is."""

import re

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def each_once(values: tuple[int, ...]) -> tuple[int, ...]:
    """`values`, for a setting that names each of them once.

    Raises:
        ValueError: one is there twice.
    """
    if len(set(values)) < len(values):
        raise ValueError(f"{values} names one of them twice")
    return values


def without_passwords(text: str) -> str:
    """`text` with nobody named before the `@` of an address: errors end in logs."""
    return re.sub(r"//[^/\s'\"]*@", "//…@", text)
