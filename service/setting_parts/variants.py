"""Parses the setting VARIANTS: the bundles that share the sessions, and their weights."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from export.contract.addresses.object_store import is_address
from export.contract.bundles_folder import LINK_NAME

DEFAULT_VARIANT = "default"

_ENTRY = re.compile(r"(?P<name>[\w.-]+)=(?P<path>[^,]+?)(:(?P<weight>-?\d+(\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class VariantSetting:
    """A variant's name, the place of its bundle, and its weight.

    Attributes:
        name: the variant's name.
        path: folder of the variant's bundle, or a link to that folder.
        weight: share of the sessions, relative to the weights of the other variants.
        address: address to which the variant's bundles are published; None: there is only a path.
    """

    name: str
    path: Path = Path()
    weight: float = 1.0
    address: str | None = None

    def cached_in(self, folder: Path) -> "VariantSetting":
        """Returns the variant, with a path in the cache `folder` if the variant has an address."""
        if self.address is None:
            return self
        key = sha256(self.address.rstrip("/").encode()).hexdigest()[:16]
        return replace(self, path=folder / key / LINK_NAME)


def parse_variants(text: str) -> Sequence[VariantSetting]:
    """Parses a list of variants, `name=path:weight, …`, or the path of a folder of bundles.

    A path may be an address such as `s3://bucket/shop`. A missing weight is 1. In a folder of
    bundles, each bundle makes a variant with weight 1, named after the bundle's own folder.

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
    name, place = entry["name"], entry["path"]
    if is_address(place):
        return VariantSetting(name, weight=weight, address=place)
    return VariantSetting(name, Path(place), weight)


def _in_folder(folder: Path) -> list[VariantSetting]:
    found = (path.parent for path in folder.glob("[!.]*/manifest.json"))
    # Links are left out: if a link's target is in the folder too, its bundle would be served twice.
    paths = sorted(path for path in found if not path.is_symlink())
    if not paths:
        raise ValueError(
            f"{folder} holds no bundle: give a folder of bundles or a list `name=path:weight, …`"
        )
    return [VariantSetting(path.name, path) for path in paths]
