"""Hot swap: replaces served bundles while the service runs.

Each variant has a path in the settings: a bundle's folder, or a link to one
(`export.contract.bundles_folder`). Every process polls the paths. If there is a new bundle at a
path, a child process loads and checks it. Then this process loads the bundle and serves it instead
of the old one. If the new bundle is refused, the old one stays, and the variant reports the reason
until its path changes again. While a child checks a bundle, other bundles can be activated.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from anyio import to_thread

from export.contract.bundle import BundleError
from export.contract.bundles_folder import BundleLink
from export.contract.folders import readable_folder
from service.bundles.checking import BundleChecks
from service.bundles.loading import load_recommender
from service.bundles.variants import ServedVariant, ServedVariants, VariantSlot
from service.errors import ConflictError, InvalidRequestError, StudentError
from service.ranking.recommender import Recommender
from service.setting_parts.variants import VariantSetting

logger = logging.getLogger(__name__)

WhileLoading = Callable[[], AbstractContextManager[None]]
"""A function that returns the context manager within which each bundle is loaded."""


_NOT_CHECKED = "not checked yet"


def open_variants(
    variants: Sequence[VariantSetting], max_k: int, checks: BundleChecks
) -> ServedVariants:
    """Checks and loads the bundles of `variants`; the first variant is the control.

    `max_k`: maximum number of items that the smoke check of a bundle ranks. `checks`: checks each
    bundle in a child process before it is loaded here.

    Raises:
        BundleError: a bundle cannot be served.
    """
    return ServedVariants([_open_slot(each, max_k, checks) for each in variants])


class HotSwap:
    """Replaces the bundle of a variant when its path changes or a client activates a bundle."""

    def __init__(
        self,
        variants: ServedVariants,
        max_k: int,
        poll_seconds: float,
        while_loading: WhileLoading,
        checks: BundleChecks,
    ) -> None:
        self._variants = variants
        self._max_k = max_k
        self._poll_seconds = poll_seconds
        self._while_loading = while_loading
        self._checks = checks
        # Not held while a child checks a bundle, which may take LOAD_SECONDS.
        self._changing = asyncio.Lock()

    async def activate(self, variant: str, bundle: str) -> None:
        """Loads and checks `bundle`, moves the variant's link to it and serves it in this process.

        Requests in progress are finished with the old bundle. Other processes follow the link
        within their poll interval.

        Args:
            variant: name of the variant.
            bundle: name of a folder beside the link.

        Raises:
            NotFoundError: there is no such variant.
            ConflictError: the variant's path is not a link, or this process cannot move the link.
            InvalidRequestError: the bundle is refused; the link and the served bundle stay.
        """
        slot = self._variants.slot(variant)
        link = await to_thread.run_sync(link_of, slot)
        await self._check(link.folder(bundle))
        async with self._changing:
            await self._follow(slot)
            await self._move(slot, bundle)

    async def rollback(self, variant: str) -> None:
        """Moves the variant's link to the previous bundle; a second call undoes the first.

        Raises:
            NotFoundError: there is no such variant.
            ConflictError: the variant's path is not a link, this process cannot move the link, or
                there is no previous bundle.
            InvalidRequestError: the previous bundle is refused; nothing changes.
        """
        slot = self._variants.slot(variant)
        link = await to_thread.run_sync(link_of, slot)
        await self._check(link.folder(await self._previous(slot)))
        async with self._changing:
            await self._follow(slot)
            await self._move(slot, await self._previous(slot))

    async def refresh(self) -> None:
        """Serves the current bundle at each variant's path; logs the bundles that are refused."""
        await asyncio.gather(*map(self._refresh, self._variants.slots))

    async def follow(self) -> None:
        """Serves new bundles at the variants' paths every `poll_seconds` until cancelled."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self.refresh()
            except Exception:
                logger.exception("a new bundle cannot be served; the old one is still served")

    async def _refresh(self, slot: VariantSlot) -> None:
        seen = await to_thread.run_sync(state_of, slot.path)
        if seen == slot.seen:
            return
        refused = None
        try:
            await self._checks.check_async(slot.path)
        except BundleError as error:
            refused = str(error)
        async with self._changing:
            if seen != await to_thread.run_sync(state_of, slot.path):
                return  # changed during the check: the next poll sees it
            if refused is None:
                await self._follow(slot)
            else:
                slot.seen = seen
                self._refuse(slot, refused)

    async def _check(self, folder: Path) -> None:
        """Checks hashes, signature and graphs of the bundle in `folder`, as at the service's start.

        Raises:
            InvalidRequestError: the bundle that the client chose fails the check.
        """
        try:
            await self._checks.check_async(folder)
        except BundleError as error:
            raise InvalidRequestError("bundle", str(error)) from None

    async def _previous(self, slot: VariantSlot) -> str:
        previous = await to_thread.run_sync(lambda: link_of(slot).previous)
        if previous is None:
            raise ConflictError(f"variant {slot.name!r} has no previous bundle")
        return previous

    async def _move(self, slot: VariantSlot, bundle: str) -> None:
        link = await to_thread.run_sync(link_of, slot)
        # If somebody moved the link to a bundle that was refused, the served bundle is not the
        # link's target. A rollback must return to the served one.
        served = slot.current.recommender.bundle.folder.name if slot.refused else None
        folder = link.folder(bundle)
        seen = await to_thread.run_sync(state_of, folder)
        try:
            candidate = await self._load(folder)
            await to_thread.run_sync(link.move, bundle, served)
        except BundleError as error:
            raise InvalidRequestError("bundle", str(error)) from None
        except OSError as error:
            raise ConflictError(
                f"{link.path} cannot be moved from here ({error.strerror}): move the link where "
                "its folder can be written, and this service follows it"
            ) from error
        await self._variants.serve(slot, candidate)
        slot.seen, slot.refused = seen, None

    async def _follow(self, slot: VariantSlot) -> None:
        seen = await to_thread.run_sync(state_of, slot.path)
        if seen == slot.seen:
            return
        if not await to_thread.run_sync(self._is_checked, slot.path):
            slot.refused = _NOT_CHECKED  # the next poll checks it
            return
        slot.seen = seen
        try:
            await self._serve_bundle_at_path(slot)
            slot.refused = None
        except (BundleError, StudentError) as error:
            self._refuse(slot, str(error))
        except Exception as error:  # a defect; the client that moved the link is told too
            slot.refused = f"{type(error).__name__}: {error}"
            raise

    def _refuse(self, slot: VariantSlot, reason: str) -> None:
        slot.refused = reason
        logger.warning("variant %r refuses the bundle at its path: %s", slot.name, reason)

    def _is_checked(self, folder: Path) -> bool:
        try:
            return self._checks.has_passed(folder)
        except BundleError:
            return False

    async def _serve_bundle_at_path(self, slot: VariantSlot) -> None:
        candidate = await self._load(slot.path)
        if candidate.manifest.model_version != slot.current.model_version:
            await self._variants.serve(slot, candidate)
            logger.info("variant %r serves %s", slot.name, slot.current.model_version)

    async def _load(self, folder: Path) -> Recommender:
        with self._while_loading():
            return await to_thread.run_sync(self._load_checked, folder)

    def _load_checked(self, folder: Path) -> Recommender:
        if not self._checks.has_passed(folder):
            raise BundleError(f"{folder}: changed since it was checked")
        return load_recommender(folder, self._max_k, self._checks.trust, self._checks.providers)


def link_of(slot: VariantSlot) -> BundleLink:
    """Returns the symlink at the variant's path, which selects the variant's bundle.

    Raises:
        ConflictError: the variant's path is not a link, or follows an address.
    """
    if slot.address is not None:
        raise ConflictError(
            f"variant {slot.name!r} follows {slot.address}: publish there with `distilled-"
            "recommender bundle publish`, or return to the bundle before with `bundle rollback`"
        )
    if not slot.path.is_symlink():
        raise ConflictError(
            f"variant {slot.name!r} serves {slot.path}, which is not a link: publish bundles "
            "with `python -m export CONFIG --publish bundles` and serve BUNDLE_PATH=bundles/active"
        )
    return BundleLink(slot.path)


def state_of(path: Path) -> tuple[object, ...]:
    """Returns a value that changes when the bundle at `path` changes.

    It holds the folder that `path` leads to, and the inode, size and modification time of each file
    in the folder.
    """
    folder = readable_folder(path.resolve())
    try:
        files = [(each.name, each.stat()) for each in folder.iterdir()]
    except OSError:
        return (folder,)
    states = ((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in files)
    return folder, *sorted(states)


def _open_slot(variant: VariantSetting, max_k: int, checks: BundleChecks) -> VariantSlot:
    seen = state_of(variant.path)
    checks.check(variant.path)
    recommender = load_recommender(variant.path, max_k, checks.trust, checks.providers)
    served = ServedVariant(variant.name, recommender)
    return VariantSlot(served, variant.weight, variant.path, seen, address=variant.address)
