"""The bundles that are served: which of them answers whom, and how one takes another's place."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from export.bundle import BundleError
from service.added.store import AddedItem
from service.errors import ConflictError, InvalidRequestError, NotFoundError
from service.loading import load_recommender
from service.recommender import Recommender


@dataclass(frozen=True, slots=True)
class Served:
    """What answers a request, from its first step to its last."""

    variant: str
    recommender: Recommender

    @property
    def model_version(self) -> str:
        """Of the bundle."""
        return self.recommender.manifest.model_version


@dataclass
class Slot:
    """A variant: what it serves, what it served before, and its weight among the variants."""

    current: Served
    weight: float
    previous: Served | None = None


class Models:
    """The variants of an experiment; most often there is one."""

    def __init__(self, slots: Sequence[Slot], max_k: int) -> None:
        """The first of `slots` is the control."""
        self._slots: Mapping[str, Slot] = {slot.current.variant: slot for slot in slots}
        self._ordered = tuple(slots)
        self._shares = list(accumulate(slot.weight for slot in slots))
        self._max_k = max_k
        self._added: Sequence[AddedItem] = ()
        self._changing = asyncio.Lock()
        self._loading = CapacityLimiter(1)

    @property
    def control(self) -> Served:
        """What answers requests that belong to no session."""
        return self._ordered[0].current

    @property
    def served(self) -> list[Served]:
        """What every variant serves."""
        return [slot.current for slot in self._ordered]

    @property
    def slots(self) -> Sequence[Slot]:
        """The variants."""
        return self._ordered

    def of(self, session_id: str | None) -> Served:
        """What answers a session: always the same variant, by a hash of its id.

        A request without a session has nothing to stick to: the control answers.
        """
        if session_id is None or len(self._ordered) == 1:
            return self._ordered[0].current
        digest = blake2b(session_id.encode(), digest_size=8).digest()
        point = int.from_bytes(digest) / 2**64 * self._shares[-1]
        place = next(place for place, share in enumerate(self._shares) if point < share)
        return self._ordered[place].current

    async def activate(self, variant: str, folder: Path) -> Served:
        """Serves the bundle in `folder` from now on; running requests end with the old one.

        Raises:
            NotFoundError: there is no such variant.
            InvalidRequestError: the bundle is refused; what was served goes on.
        """
        slot = self.slot(variant)
        load = partial(load_recommender, folder, self._max_k)
        try:
            candidate = await to_thread.run_sync(load, limiter=self._loading)
        except BundleError as error:
            raise InvalidRequestError("bundle", str(error)) from None
        return await self._install(slot, candidate)

    async def rollback(self, variant: str) -> Served:
        """Serves what was served before; a second call undoes the first.

        Raises:
            NotFoundError: there is no such variant.
            ConflictError: nothing was served before.
        """
        slot = self.slot(variant)
        if slot.previous is None:
            raise ConflictError(f"variant {variant!r} has served nothing else since the start")
        return await self._install(slot, slot.previous.recommender)

    async def set_added(self, added: Sequence[AddedItem]) -> None:
        """Makes every variant know these added items and no others."""
        async with self._changing:
            self._added = added
            for slot in self._ordered:
                slot.current = await self._with_added(slot, slot.current.recommender)

    async def _install(self, slot: Slot, recommender: Recommender) -> Served:
        async with self._changing:
            successor = await self._with_added(slot, recommender)
            slot.previous, slot.current = slot.current, successor
        return successor

    async def _with_added(self, slot: Slot, recommender: Recommender) -> Served:
        knowing = await to_thread.run_sync(recommender.with_added, self._added)
        return Served(slot.current.variant, knowing)

    def slot(self, variant: str) -> Slot:
        """A variant by its name.

        Raises:
            NotFoundError: there is no such variant.
        """
        if variant not in self._slots:
            raise NotFoundError(f"no variant {variant!r}; there are: {', '.join(self._slots)}")
        return self._slots[variant]
