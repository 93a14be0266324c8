"""Signing what a retraining has published, for services that serve signed bundles only."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("minisign", reason="needs the extra `sign`")

from minisign import KeyPair

from distilled_recommender.app import main
from export.contract.bundles_folder import LINK_NAME, BundleLink, publish


def test_the_active_bundle_of_a_folder_can_be_signed_and_published_into_another(
    tmp_path: Path, save_bundle_with: Callable[..., Path]
) -> None:
    pair = KeyPair.generate()
    public, secret = tmp_path / "bundles.pub", tmp_path / "bundles.key"
    public.write_bytes(bytes(pair.public_key))
    secret.write_bytes(bytes(pair.secret_key))
    candidates, bundles = tmp_path / "candidates", tmp_path / "bundles"
    candidate = publish(save_bundle_with(), candidates)
    arguments = ["bundle", "publish", str(candidate.path), str(bundles), "--key", str(public)]
    assert main(arguments) == 2  # as retrain leaves it, unsigned

    assert main(["bundle", "sign", str(candidate.path), "--key", str(secret)]) == 0
    assert main(arguments) == 0

    assert BundleLink(bundles / LINK_NAME).bundle == candidate.bundle
