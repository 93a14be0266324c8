"""A service with BUNDLE_PUBLIC_KEYS serves signed bundles only, and says why it refuses others."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("minisign", reason="needs the extra `sign`")

from minisign import KeyPair

from export.contract.bundle import BundleError, BundleLayout
from export.contract.bundles_folder import BundleLink
from export.contract.signatures import sign_bundle
from service.bundles.checking import checks_of
from service.settings import Settings
from tests.service.bundles.test_hot_swap import activate, ids, settings_of, wait_for_refusal

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A secret key, beside its public one."""
    pair = KeyPair.generate()
    (tmp_path / "ours.pub").write_bytes(bytes(pair.public_key))
    (tmp_path / "ours.key").write_bytes(bytes(pair.secret_key))
    return tmp_path / "ours.key"


@pytest.fixture
def link(tmp_path: Path, save_bundle_with: Callable[..., Path], key: Path) -> BundleLink:
    """A link to the signed bundle `a`; `b` and `c` rank backwards, and `c` is signed too."""
    link = BundleLink(tmp_path / "bundles" / "active")
    link.path.parent.mkdir()
    for name, scale in {"a": 1, "b": -1, "c": -1}.items():
        folder = save_bundle_with(name=f"bundles/{name}", scale=scale)
        if name != "b":
            sign_bundle(folder, key)
    link.move("a")
    return link


@pytest.fixture
def settings(link: BundleLink, tmp_path: Path, key: Path) -> Settings:
    items, keys = tmp_path / "items.jsonl", key.with_suffix(".pub")
    return settings_of(link.path, items_path=items, bundle_public_keys=keys)


async def test_an_unsigned_bundle_is_refused_by_request_and_by_link_and_the_old_one_served(
    settings: Settings, link: BundleLink, connect: "Connect"
) -> None:
    async with connect(settings) as client:
        before = await ids(client)
        answer = await activate(client, "b")
        assert answer.status_code == 422
        assert "manifest.json.minisig: missing" in answer.text
        link.move("b")
        await wait_for_refusal(client, "only signed bundles are accepted")
        assert await ids(client) == before
        assert (await activate(client, "c")).status_code == 200
        assert await ids(client) != before


async def test_a_bundle_that_passed_its_check_before_is_refused_without_its_signature(
    settings: Settings, link: BundleLink
) -> None:
    checks = checks_of(settings)
    checks.check(link.path)
    assert checks.has_passed(link.path)
    BundleLayout(link.path).signature.unlink()
    with pytest.raises(BundleError, match="only signed bundles are accepted"):
        checks.has_passed(link.path)


async def test_without_a_readable_file_of_keys_the_service_does_not_start(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "ours.pub").unlink()
    with pytest.raises(BundleError, match=r"ours\.pub: missing"):
        checks_of(settings)
