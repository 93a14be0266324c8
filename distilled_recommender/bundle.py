"""`distilled-recommender bundle`: verifies, shows and publishes bundles; needs no extra."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from export.contract import publish as publishing
from export.contract.bundle import BundleError, BundleLayout, load_bundle
from export.contract.manifest import Manifest
from training.cli import say

DAMAGED = 1
"""Exit code for a damaged bundle."""
SHOWN_METRICS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20")

BundleFolder = Annotated[Path, Parameter(help=publishing.ARGUMENTS["bundle"])]
PublishedFolder = Annotated[Path, Parameter(help=publishing.ARGUMENTS["folder"])]
First = Annotated[bool, Parameter(help=publishing.ARGUMENTS["first"])]
AsJson = Annotated[bool, Parameter(name="--json", help="Print the whole manifest as JSON.")]


def verify(bundle: BundleFolder, /) -> int:
    """Check that a bundle is intact: compare every file with its hash in the manifest."""
    try:
        manifest = load_bundle(bundle).manifest
    except BundleError as error:
        sys.stderr.write(f"error: {error}\n")
        return DAMAGED
    say(f"{bundle}: intact, version {manifest.model_version}, {manifest.num_items:,} items")
    return 0


def show(bundle: BundleFolder, /, *, as_json: AsJson = False) -> None:
    """Print a summary of a bundle: student, metrics and origin."""
    found = load_bundle(bundle)
    if as_json:
        say(BundleLayout(found.folder).manifest.read_text(encoding="utf-8").rstrip())
        return
    for line in _summary(found.manifest):
        say(line)


def publish(bundle: BundleFolder, folder: PublishedFolder, /, *, first: First = False) -> None:
    """Copy a bundle into a folder of bundles and make it the active one."""
    copy = publishing.publish_first if first else publishing.publish
    try:
        link = copy(bundle, folder)
    except OSError as error:
        raise BundleError(f"{folder}: {error}") from error
    say(f"{link.path} is {link.bundle}")


def _summary(manifest: Manifest) -> Iterator[str]:
    provenance = manifest.provenance
    dataset = provenance.get("dataset", {}).get("name", "unknown data")
    yield (
        f"version {manifest.model_version}, schema {manifest.schema_version}: "
        f"{manifest.student}, {manifest.num_items:,} items, "
        f"histories of up to {manifest.max_history_length}"
    )
    yield (
        f"origin {manifest.origin}, trained on {dataset} ({manifest.protocol}), "
        f"commit {provenance.get('commit', 'unknown')}"
    )
    for split, figures in manifest.metrics.items():
        if isinstance(figures, dict):
            shown = [f"{each} {figures[each]:.4f}" for each in SHOWN_METRICS if each in figures]
            yield f"{split:<10} {', '.join(shown)}"
    if manifest.verdict:
        yield manifest.verdict
