"""Base class of all settings, and checks that several sections share."""

import re
from collections.abc import Set
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings: immutable, and an unknown key is an error.

    Attributes:
        ADDED_LATER: names of settings that came after results had been stored. At its default, such
            a setting enters no fingerprint, so the stored results stay current.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ADDED_LATER: ClassVar[Set[str]] = frozenset()

    def fingerprint_content(self, exclude: Set[str] = frozenset()) -> dict[str, object]:
        """Returns all settings but `exclude`, as they enter a fingerprint; see `ADDED_LATER`."""
        fields = type(self).model_fields
        unset = {name for name in self.ADDED_LATER if getattr(self, name) == fields[name].default}
        return self.model_dump(exclude={*exclude, *unset})


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
