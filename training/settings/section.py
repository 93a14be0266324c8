"""Base class of all settings, and checks that several sections share."""

import re
from collections.abc import Mapping, Set
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Value = TypeVar("Value")
# Seeds of random numbers are made from products of a seed, which torch takes up to 2^63 - 1.
MAX_SEED = 2**32 - 1


class Section(BaseModel):
    """Base class of a group of settings: immutable; unknown keys and infinite numbers are errors.

    Attributes:
        ADDED_LATER: names of settings that did not exist when the first results were stored. Such a
            setting enters a fingerprint only if it differs from its default, so old results stay
            valid.
        FORMER_VALUES: by name, the values by which earlier versions acted, of settings in
            `ADDED_LATER` whose defaults have changed since. Such a setting enters a fingerprint
            only if it differs from its former value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    ADDED_LATER: ClassVar[Set[str]] = frozenset()
    FORMER_VALUES: ClassVar[Mapping[str, object]] = {}

    def fingerprint_content(self, exclude: Set[str] = frozenset()) -> dict[str, object]:
        """Returns the settings that enter a fingerprint, by name.

        Settings in `exclude` are left out. So are those of `ADDED_LATER` at their former value,
        or at their default if they have none, also in the sections within this one.
        """
        fields = type(self).model_fields
        usual = {name: fields[name].default for name in self.ADDED_LATER}
        usual |= self.FORMER_VALUES
        unset = {name for name, value in usual.items() if getattr(self, name) == value}
        settings = self.model_dump(exclude={*exclude, *unset})
        for name in settings:
            value = getattr(self, name)
            if isinstance(value, Section):
                settings[name] = value.fingerprint_content()
        return settings


def each_once(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Verifies that all values are distinct, and returns them.

    Raises:
        ValueError: a value occurs twice.
    """
    if len(set(values)) < len(values):
        raise ValueError(f"{values} contains a value twice; give each value once")
    return values


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(each_once)]


def first_problem(error: ValidationError) -> str:
    """Describes the first of the settings that `error` refuses: name, value and reason.

    The value of a whole section is left out, and so are passwords in addresses.
    """
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    given = problem["input"]
    is_section = isinstance(given, Mapping | BaseModel)
    setting = name if is_section else f"{name} = {given!r}"
    return without_passwords(f"{setting}: {problem['msg']}")


def without_passwords(text: str) -> str:
    """Replaces user and password of every URL in `text` by `…`, for logs and error messages."""
    return re.sub(r"//[^/\s'\"]*@", "//…@", text)
