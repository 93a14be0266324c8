"""Parses the setting VARIANTS: the bundles that are served side by side, and their weights."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_VARIANT = "default"

_ENTRY = re.compile(r"(?P<name>[\w.-]+)=(?P<path>[^,]+?)(:(?P<weight>\d+(\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class VariantSetting:
    """A named bundle; its share of the sessions is its weight over the sum of all weights."""

    name: str
    path: Path
    weight: float = 1.0


def parse_variants(text: str) -> Sequence[VariantSetting]:
    """Reads `name=path:weight, name=path`, or a folder whose bundles become variants.

    Raises:
        ValueError: `text` is neither, or has an invalid part; names the part.
    """
    variants = _parse_list(text) if "=" in text else _in_folder(Path(text))
    names = [each.name for each in variants]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{', '.join(sorted(repeated))} occurs twice")
    if not all(each.weight > 0 for each in variants):
        raise ValueError("a weight must be more than 0")
    return variants


def _parse_list(text: str) -> list[VariantSetting]:
    variants = []
    for part in text.split(","):
        entry = _ENTRY.fullmatch(part.strip())
        if entry is None:
            raise ValueError(f"{part.strip()!r} is not `name=path:weight`")
        variants.append(
            VariantSetting(entry["name"], Path(entry["path"]), float(entry["weight"] or 1))
        )
    return variants


def _in_folder(folder: Path) -> list[VariantSetting]:
    found = (path.parent for path in folder.glob("[!.]*/manifest.json"))
    # A link beside its target would serve a bundle twice.
    paths = sorted(path for path in found if not path.is_symlink())
    if not paths:
        raise ValueError(f"{folder} holds no bundle")
    return [VariantSetting(path.name, path) for path in paths]
