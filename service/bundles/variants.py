"""The served variants, and the rule that assigns sessions to them."""

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
    """A variant's recommender at one moment; a request uses one from its start to its end."""

    name: str
    recommender: Recommender

    @property
    def model_version(self) -> str:
        """Version of the served bundle, a hash of its content."""
        return self.recommender.manifest.model_version


@dataclass
class VariantSlot:
    """A variant of the settings, and what it serves now.

    Attributes:
        current: what answers requests.
        weight: share of the sessions, relative to the other variants.
        path: the folder or link that the bundle comes from.
        seen: state of `path` when it was last looked at.
        refused: why the bundle at `path` is not served; None: it is served.
    """

    current: ServedVariant
    weight: float
    path: Path
    seen: tuple[object, ...]
    refused: str | None = None

    @property
    def name(self) -> str:
        """Name of the variant."""
        return self.current.name


class ServedVariants:
    """The variants of an experiment; most often there is one."""

    def __init__(self, slots: Sequence[VariantSlot]) -> None:
        """The first of `slots` is the control."""
        self._slot_by_name: Mapping[str, VariantSlot] = {slot.name: slot for slot in slots}
        self._slots = tuple(slots)
        self._cumulative_weights = list(accumulate(slot.weight for slot in slots))
        self._added: Sequence[AddedItem] = ()
        self._changing = asyncio.Lock()

    @property
    def control(self) -> ServedVariant:
        """The variant that answers requests without a session."""
        return self._slots[0].current

    @property
    def served(self) -> list[ServedVariant]:
        """The served bundle of each variant, the control first."""
        return [slot.current for slot in self._slots]

    @property
    def slots(self) -> Sequence[VariantSlot]:
        """All variants, the control first."""
        return self._slots

    def for_session(self, session_id: str | None) -> ServedVariant:
        """The variant of a session, always the same one, by a hash of its id; None = control."""
        if session_id is None or len(self._slots) == 1:
            return self._slots[0].current
        digest = blake2b(session_id.encode(), digest_size=8).digest()
        point = int.from_bytes(digest) / 2**64 * self._cumulative_weights[-1]
        number = next(n for n, weight in enumerate(self._cumulative_weights) if point < weight)
        return self._slots[number].current

    async def serve(self, slot: VariantSlot, recommender: Recommender) -> None:
        """Serves `recommender` from now on; running requests keep the one they began with.

        Raises:
            StudentError: the added items cannot be encoded.
        """
        async with self._changing:
            slot.current = await self._with_added(slot, recommender)

    async def set_added(self, added: Sequence[AddedItem]) -> None:
        """Makes these the added items of every variant.

        Raises:
            StudentError: they cannot be encoded.
        """
        async with self._changing:
            self._added = added
            for slot in self._slots:
                slot.current = await self._with_added(slot, slot.current.recommender)

    async def _with_added(self, slot: VariantSlot, recommender: Recommender) -> ServedVariant:
        extended = await to_thread.run_sync(recommender.with_added, self._added)
        return ServedVariant(slot.name, extended)

    def slot(self, variant: str) -> VariantSlot:
        """The slot of a variant.

        Raises:
            NotFoundError: there is no such variant.
        """
        if variant not in self._slot_by_name:
            names = ", ".join(self._slot_by_name)
            raise NotFoundError(f"no variant {variant!r}; there are: {names}")
        return self._slot_by_name[variant]
