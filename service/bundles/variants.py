"""The bundles that are served, and which of them answers whom."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

from anyio import to_thread

from service.errors import NotFoundError
from service.ranking.recommender import Recommender
from service.stores.items.protocol import AddedItem


@dataclass(frozen=True, slots=True)
class ServedVariant:
    """What answers a request, from its first step to its last."""

    variant: str
    recommender: Recommender

    @property
    def model_version(self) -> str:
        """Of the bundle."""
        return self.recommender.manifest.model_version


@dataclass
class VariantSlot:
    """A variant: what it serves, its weight among the variants, and where its bundle comes from.

    `seen` is the state of `path` when it was last looked at; `refused` says why what stands there
    is not what is served.
    """

    current: ServedVariant
    weight: float
    path: Path
    seen: tuple[object, ...]
    refused: str | None = None

    @property
    def variant(self) -> str:
        """Its name."""
        return self.current.variant


class ServedVariants:
    """The variants of an experiment; most often there is one."""

    def __init__(self, slots: Sequence[VariantSlot]) -> None:
        """The first of `slots` is the control."""
        self._slots: Mapping[str, VariantSlot] = {slot.variant: slot for slot in slots}
        self._ordered = tuple(slots)
        self._shares = list(accumulate(slot.weight for slot in slots))
        self._added: Sequence[AddedItem] = ()
        self._changing = asyncio.Lock()

    @property
    def control(self) -> ServedVariant:
        """What answers requests that belong to no session."""
        return self._ordered[0].current

    @property
    def served(self) -> list[ServedVariant]:
        """What every variant serves."""
        return [slot.current for slot in self._ordered]

    @property
    def slots(self) -> Sequence[VariantSlot]:
        """The variants."""
        return self._ordered

    def of(self, session_id: str | None) -> ServedVariant:
        """What answers a session: always the same variant, by a hash of its id.

        A request without a session has nothing to stick to: the control answers.
        """
        if session_id is None or len(self._ordered) == 1:
            return self._ordered[0].current
        digest = blake2b(session_id.encode(), digest_size=8).digest()
        point = int.from_bytes(digest) / 2**64 * self._shares[-1]
        place = next(place for place, share in enumerate(self._shares) if point < share)
        return self._ordered[place].current

    async def serve(self, slot: VariantSlot, recommender: Recommender) -> None:
        """Has the variant answer by `recommender` from now on; running requests end as begun."""
        async with self._changing:
            slot.current = await self._with_added(slot, recommender)

    async def set_added(self, added: Sequence[AddedItem]) -> None:
        """Makes every variant know these added items and no others."""
        async with self._changing:
            self._added = added
            for slot in self._ordered:
                slot.current = await self._with_added(slot, slot.current.recommender)

    async def _with_added(self, slot: VariantSlot, recommender: Recommender) -> ServedVariant:
        knowing = await to_thread.run_sync(recommender.with_added, self._added)
        return ServedVariant(slot.variant, knowing)

    def slot(self, variant: str) -> VariantSlot:
        """A variant by its name.

        Raises:
            NotFoundError: there is no such variant.
        """
        if variant not in self._slots:
            raise NotFoundError(f"no variant {variant!r}; there are: {', '.join(self._slots)}")
        return self._slots[variant]
