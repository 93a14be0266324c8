"""Follows the addresses of variants: copies their active bundles into the cache on this machine.

`hot_swap` follows the link in the cache as it follows any other link.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from anyio import to_thread

from export.contract.addresses.mirror import Mirror
from export.contract.addresses.object_store import StoreError
from export.contract.addresses.opening import open_store
from export.contract.bundle import BundleError
from export.contract.publish import trust_of
from service.bundles.variants import ServedVariants, VariantSlot
from service.settings import Settings

logger = logging.getLogger(__name__)

Mirrors = Mapping[Path, Mirror]
"""The mirror of each address, by the path of its link in the cache."""


def mirrors_of(settings: Settings) -> Mirrors:
    """Makes a mirror for each variant with an address; sends no request to the address.

    Raises:
        BundleError: an address or the file of public keys cannot be used.
    """
    trust, max_bytes = trust_of(settings.bundle_public_keys), settings.bundle_cache_bytes
    return {
        each.path: Mirror(open_store(each.address), each.path.parent, max_bytes, trust)
        for each in settings.served_variants
        if each.address is not None
    }


def copy_active(mirrors: Mirrors) -> None:
    """Copies the active bundle of each address into the cache, before bundles are loaded.

    If the cache has an earlier copy, a failure is only logged, and the earlier copy is served.

    Raises:
        BundleError: there is no earlier copy, and the store is lost or its bundle is refused.
    """
    for mirror in mirrors.values():
        try:
            mirror.refresh()
        except BundleError as error:
            if mirror.link.bundle is None:
                raise
            logger.warning("serving the copy of %s from before: %s", mirror.link.bundle, error)


async def follow_addresses(variants: ServedVariants, mirrors: Mirrors, poll_seconds: float) -> None:
    """Copies each new active bundle of each address, every `poll_seconds` until cancelled."""
    followed = [(slot, mirrors[slot.path]) for slot in variants.slots if slot.path in mirrors]
    await asyncio.gather(*(_follow(slot, mirror, poll_seconds) for slot, mirror in followed))


async def _follow(slot: VariantSlot, mirror: Mirror, poll_seconds: float) -> None:
    """Copies each new active bundle of one address; logs each outage and each refusal once."""
    while True:
        await asyncio.sleep(poll_seconds)
        refused = None
        try:
            # Abandoned at the end of the service, which must not wait for a slow store.
            await to_thread.run_sync(mirror.refresh, abandon_on_cancel=True)
            slot.is_store_lost = False
        except StoreError as error:
            if not slot.is_store_lost:
                logger.warning("variant %r keeps its bundle: %s", slot.name, error)
            slot.is_store_lost, refused = True, slot.not_copied
        except BundleError as error:
            slot.is_store_lost, refused = False, str(error)
            if refused != slot.not_copied:
                logger.warning("variant %r refuses the active bundle: %s", slot.name, error)
        except Exception as error:
            refused = f"{type(error).__name__}: {error}"
            logger.exception("variant %r cannot follow %s", slot.name, slot.address)
        slot.not_copied = refused
