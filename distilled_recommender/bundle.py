"""`distilled-recommender bundle`: verifies, shows, signs and publishes bundles.

Commands that use a key need the extra `sign`; all others need no extra.
"""

import os
import sys
from collections.abc import Iterator
from getpass import getpass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from export.contract import publish as publishing
from export.contract.addresses.place import place_of
from export.contract.bundle import BundleError, BundleLayout, load_bundle
from export.contract.manifest import SHOWN_METRICS, Manifest
from export.contract.records import NUMBER, printable
from training.cli import say
from training.errors import ConfigError

DAMAGED = 1
"""Exit code for a damaged bundle."""

BundleFolder = Annotated[Path, Parameter(help=publishing.ARGUMENTS["bundle"])]
Place = Annotated[str, Parameter(help=publishing.ARGUMENTS["place"])]
First = Annotated[bool, Parameter(help=publishing.ARGUMENTS["first"])]
AsJson = Annotated[bool, Parameter(name="--json", help="Print the whole manifest as JSON.")]


PublicKeys = Annotated[
    Path | None, Parameter(help=publishing.ARGUMENTS["key"], env_var="BUNDLE_PUBLIC_KEYS")
]
SecretKeyFile = Annotated[Path, Parameter(help="File of a secret key, as `minisign -G` writes it.")]


def verify(bundle: BundleFolder, /, *, key: PublicKeys = None) -> int:
    """Check that a bundle is intact, and with a key, that its owner has signed it."""
    trust = publishing.trust_of(key)
    try:
        manifest = load_bundle(bundle, trust).manifest
    except BundleError as error:
        sys.stderr.write(f"error: {error}\n")
        return DAMAGED
    intact = "intact" if trust is None else "intact and signed"
    say(f"{bundle}: {intact}, version {manifest.model_version}, {manifest.num_items:,} items")
    return 0


def sign(bundle: BundleFolder, /, *, key: SecretKeyFile) -> None:
    """Sign a bundle: write manifest.json.minisig beside its manifest."""
    try:
        from export.contract.signatures import is_encrypted, sign_bundle
    except ImportError as error:
        raise BundleError(
            f"signing needs py-minisign ({error}); install distilled-recommender[sign]"
        ) from None
    password = None
    if is_encrypted(key):
        password = os.environ.get("MINISIGN_PASSWORD") or _asked(f"password of {key}: ")
    say(f"{bundle}: signed, version {sign_bundle(bundle, key, password)}")


def _asked(prompt: str) -> str:
    try:
        return getpass(prompt)
    except EOFError:
        raise ConfigError(
            f"no terminal to ask for the {prompt.rstrip(': ')}; set MINISIGN_PASSWORD"
        ) from None


def show(bundle: BundleFolder, /, *, as_json: AsJson = False) -> None:
    """Print a summary of a bundle: student, metrics and origin."""
    found = load_bundle(bundle)
    if as_json:
        say(BundleLayout(found.folder).manifest.read_text(encoding="utf-8").rstrip())
        return
    for line in _summary(found.manifest):
        say(printable(line))


def publish(
    bundle: BundleFolder,
    place: Place,
    /,
    *,
    first: First = False,
    key: PublicKeys = None,
) -> None:
    """Copy a bundle to a folder of bundles or an address and make it the active one."""
    found = place_of(place)
    copy = found.publish_first if first else found.publish
    try:
        version = copy(bundle, publishing.trust_of(key))
    except OSError as error:
        raise BundleError(f"{place}: {error}") from error
    say(f"{found.name} is {version}")


def rollback(place: Place, /) -> None:
    """Make the bundle before the active one active again; a second call undoes the first."""
    found = place_of(place)
    try:
        version = found.roll_back()
    except OSError as error:
        raise BundleError(f"{place}: {error}") from error
    say(f"{found.name} is {version}")


def _summary(manifest: Manifest) -> Iterator[str]:
    provenance = manifest.provenance
    dataset = provenance.get("dataset")
    name = dataset.get("name") if isinstance(dataset, dict) else None
    yield (
        f"version {manifest.model_version}, schema {manifest.schema_version}: "
        f"{manifest.student}, {manifest.num_items:,} items, "
        f"histories of up to {manifest.max_history_length}"
    )
    yield (
        f"origin {manifest.origin}, trained on {name or 'unknown data'} ({manifest.protocol}), "
        f"commit {provenance.get('commit', 'unknown')}"
    )
    for split, figures in manifest.metrics.items():
        if isinstance(figures, dict):
            values = [(each, figures.get(each)) for each in SHOWN_METRICS]
            shown = [f"{each} {value:.4f}" for each, value in values if NUMBER.passes(value)]
            yield f"{split:<10} {', '.join(shown)}"
    if manifest.verdict:
        yield manifest.verdict
