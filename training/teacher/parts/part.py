"""Part i of n of a teacher's work: which shards a process computes first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.errors import ConfigError
from training.teacher.llm.shards import Shard

_PART = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", re.ASCII)


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        """Returns the form in which the option `--part` takes the part, such as 2/3."""
        return f"{self.number}/{self.count}"

    def ordered(self, shards: Sequence[Shard[Any]]) -> list[Shard[Any]]:
        """Returns all `shards`: first those of this part, then those of the others, last first.

        The other parts begin with their first shards, so parts rarely want the same one.
        """
        others = [each for index, each in enumerate(shards) if not self._has(index)]
        return [*shards[self.number - 1 :: self.count], *reversed(others)]

    def _has(self, index: int) -> bool:
        return index % self.count == self.number - 1


def parse_part(text: str) -> Part:
    """Reads a part such as 2/3.

    Raises:
        ConfigError: `text` is not of this form, or the number exceeds the count.
    """
    found = _PART.fullmatch(text)
    part = Part(int(found[1]), int(found[2])) if found else None
    if part is None or part.number > part.count:
        raise ConfigError(f"--part {text}: expected i/n with 1 <= i <= n, such as 2/3")
    return part
