"""Parses the setting VARIANTS: the bundles that share the sessions, and their weights."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_VARIANT = "default"

_ENTRY = re.compile(r"(?P<name>[\w.-]+)=(?P<path>[^,]+?)(:(?P<weight>-?\d+(\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class VariantSetting:
    """A variant's name, the path of its bundle, and its weight.

    The variant's share of the sessions is its weight divided by the sum of all weights.
    """

    name: str
    path: Path
    weight: float = 1.0


def parse_variants(text: str) -> Sequence[VariantSetting]:
    """Parses a list of variants, `name=path:weight, …`, or the path of a folder of bundles.

    A missing weight is 1. Each bundle in a folder makes a variant with the name of the bundle's own
    folder and weight 1.

    Raises:
        ValueError: `text` has neither form, or a part is invalid; the message quotes the part.
    """
    variants = _parse_list(text) if "=" in text else _in_folder(Path(text))
    names = [each.name for each in variants]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"repeated names: {', '.join(sorted(repeated))}")
    return variants


def _parse_list(text: str) -> list[VariantSetting]:
    return [_parse_entry(part.strip()) for part in text.split(",")]


def _parse_entry(text: str) -> VariantSetting:
    entry = _ENTRY.fullmatch(text)
    if entry is None:
        raise ValueError(
            f"{text!r} is not `name=path:weight`: a name may have letters, digits, `_`, `.` and `-`"
        )
    weight = float(entry["weight"] or 1)
    if weight <= 0:
        raise ValueError(f"{text!r} has the weight {weight:g}: a weight must be more than 0")
    return VariantSetting(entry["name"], Path(entry["path"]), weight)


def _in_folder(folder: Path) -> list[VariantSetting]:
    found = (path.parent for path in folder.glob("[!.]*/manifest.json"))
    # Links are left out: if a link's target is in the folder too, its bundle would be served twice.
    paths = sorted(path for path in found if not path.is_symlink())
    if not paths:
        raise ValueError(
            f"{folder} holds no bundle: give a folder of bundles or a list `name=path:weight, …`"
        )
    return [VariantSetting(path.name, path) for path in paths]
