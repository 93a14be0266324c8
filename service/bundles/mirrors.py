"""Follows the addresses of variants: copies their active bundles into the cache on this machine.

`hot_swap` follows the link in the cache as it follows any other link.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from pathlib import Path

from anyio import to_thread

from export.contract.addresses.daemon_threads import in_daemon_thread
from export.contract.addresses.mirror import Mirror
from export.contract.addresses.object_store import StoreError
from export.contract.addresses.opening import open_store
from export.contract.bundle import BundleError
from export.contract.publish import trust_of
from service.bundles.variants import ServedVariants, VariantSlot
from service.settings import Settings

logger = logging.getLogger(__name__)

_SECONDS_AT_START = 5.0
"""Time for which a start that could serve its copies waits for all addresses together."""

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

    All addresses are copied at the same time. If the cache has an earlier copy, a failure is only
    logged, and the earlier copy is served. If the earlier copy is whole, it is also served if
    copying takes more than `_SECONDS_AT_START`; the new copy is then finished in a thread.

    Raises:
        BundleError: there is no earlier copy, and the store is lost or its bundle is refused.
    """
    copying = [(mirror, in_daemon_thread(mirror.refresh)) for mirror in mirrors.values()]
    deadline = time.monotonic() + _SECONDS_AT_START
    for mirror, copied in copying:
        wait([copied], max(0, deadline - time.monotonic()))
        _finish(mirror, copied)


def _finish(mirror: Mirror, copied: "Future[None]") -> None:
    try:
        if not copied.done() and mirror.has_whole_copy():
            raise StoreError(
                f"the active bundle of {mirror.address} is not copied after {_SECONDS_AT_START:g} s"
            )
        copied.result()
    except BundleError as error:
        if mirror.link.bundle is None:
            raise
        logger.warning("serving the copy of %s from before: %s", mirror.link.bundle, error)


async def copy_missing(mirrors: Mirrors) -> None:
    """Copies the active bundle of each address that has no copy in the cache yet.

    Workers call this at their start. Mostly it copies nothing, because the program has called
    `copy_active` before it started them.

    Raises:
        BundleError: a store is lost or its bundle is refused.
    """
    missing = {path: mirror for path, mirror in mirrors.items() if mirror.link.bundle is None}
    await asyncio.wrap_future(in_daemon_thread(lambda: copy_active(missing)))


async def follow_addresses(variants: ServedVariants, mirrors: Mirrors, poll_seconds: float) -> None:
    """Looks for a new active bundle at each address every `poll_seconds`; copies it to the cache.

    Runs until cancelled. Notes outages and refused bundles in the slots of `variants`.
    """
    followed = [(slot, mirrors[slot.path]) for slot in variants.slots if slot.path in mirrors]
    await asyncio.gather(*(_follow(slot, mirror, poll_seconds) for slot, mirror in followed))


async def _follow(slot: VariantSlot, mirror: Mirror, poll_seconds: float) -> None:
    """Copies each new active bundle of one address to the cache, until cancelled.

    Notes an outage or a refused bundle in `slot`, and logs each once.
    """
    while True:
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
        await asyncio.sleep(poll_seconds)
