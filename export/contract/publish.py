"""Publishes a bundle to a folder or an address of bundles, and makes it the active one.

This module imports the standard library, and py-minisign only if it verifies signatures.

python -m export.contract.publish work/movielens/bundle bundles
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from export.contract.addresses.place import place_of
from export.contract.bundle import BundleError, Trust

ARGUMENTS = {
    "bundle": "Folder of a bundle, as `export` writes it.",
    "place": "Folder of bundles, or an address such as s3://bucket/shop; services serve the active "
    "bundle in it.",
    "first": "Do nothing if the folder or address already has an active bundle.",
    "key": "File of minisign public keys; the bundle must be signed with one of them.",
}
"""Help texts of the arguments by name, here and in `distilled-recommender bundle publish`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program with `arguments`, by default those of the process; returns the exit code."""
    parser = ArgumentParser(
        prog="python -m export.contract.publish",
        description="Copy a bundle to a folder or an address of bundles and make it active.",
    )
    parser.add_argument("bundle", type=Path, help=ARGUMENTS["bundle"])
    parser.add_argument("place", help=ARGUMENTS["place"])
    parser.add_argument("--first", action="store_true", help=ARGUMENTS["first"])
    parser.add_argument("--key", type=Path, help=ARGUMENTS["key"], default=_configured_key())
    options = parser.parse_args(arguments)
    try:
        place, trust = place_of(options.place), trust_of(options.key)
        copy = place.publish_first if options.first else place.publish
        version = copy(options.bundle, trust)
    except (BundleError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{place.name} is {version}{'' if options.first else ' now'}\n")
    return 0


def trust_of(keys: Path | None) -> Trust | None:
    """Reads a file of public keys; returns a check that bundles are signed with one of the keys.

    Returns None if `keys` is None: signatures are then not checked.

    Raises:
        BundleError: the file cannot be used, or the library py-minisign is not installed.
    """
    if keys is None:
        return None
    try:  # py-minisign is an extra, needed only with keys
        from export.contract.signatures import read_trusted_keys
    except ImportError as error:
        raise BundleError(
            f"{keys}: verifying signatures needs py-minisign ({error}); install "
            "distilled-recommender[sign]"
        ) from None
    return read_trusted_keys(keys)


def _configured_key() -> Path | None:
    value = os.environ.get("BUNDLE_PUBLIC_KEYS")
    return Path(value) if value else None


if __name__ == "__main__":
    sys.exit(main())
