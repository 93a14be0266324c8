"""The served variants, and the rule that assigns sessions to them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

from anyio import to_thread
from prometheus_client.core import GaugeMetricFamily

from service.errors import NotFoundError
from service.ranking.recommender import Recommender
from service.stores.items.edits import ItemEdit
from service.stores.items.protocol import AddedItem, change


@dataclass(frozen=True, slots=True)
class ServedVariant:
    """A variant at one moment: its name, and the recommender of the bundle that it serves.

    A request uses one ServedVariant from its start to its end, even if the bundle is swapped
    meanwhile.
    """

    name: str
    recommender: Recommender

    @property
    def model_version(self) -> str:
        """The version of the served bundle, a hash of its content."""
        return self.recommender.manifest.model_version


@dataclass
class VariantSlot:
    """A configured variant, with the bundle that it serves now.

    Attributes:
        current: the variant with the bundle that it serves now; a hot swap replaces it.
        weight: share of the sessions, relative to the weights of the other variants.
        path: the folder or link that the bundle comes from.
        seen: state of `path` at the last poll, from `hot_swap.state_of`.
        refused: why the bundle at `path` is refused; None: it is served.
        address: address whose active bundle is copied to `path`; None: there is none.
        not_copied: why the active bundle of `address` is refused and not copied; None: no refusal.
        is_store_lost: whether the store at `address` does not answer.
    """

    current: ServedVariant
    weight: float
    path: Path
    seen: tuple[object, ...]
    refused: str | None = None
    address: str | None = None
    not_copied: str | None = None
    is_store_lost: bool = False

    @property
    def refusal(self) -> str | None:
        """Reason for which the newest bundle of the variant is refused; None: it is served."""
        return self.not_copied or self.refused

    @property
    def name(self) -> str:
        """The name of the variant."""
        return self.current.name


class ServedVariants:
    """The variants that share the sessions; without the setting VARIANTS there is only one."""

    def __init__(self, slots: Sequence[VariantSlot]) -> None:
        """Stores the slots of all variants; the first variant is the control."""
        self._slot_by_name: Mapping[str, VariantSlot] = {slot.name: slot for slot in slots}
        self._slots = tuple(slots)
        self._cumulative_weights = list(accumulate(slot.weight for slot in slots))
        self._added: dict[str, AddedItem] = {}
        self._edits: dict[str, ItemEdit] = {}
        self._changing = asyncio.Lock()

    @property
    def control(self) -> ServedVariant:
        """The control, which is the first variant; it answers requests without a session."""
        return self._slots[0].current

    def num_items(self) -> int:
        """Returns the number of items in the catalog of the control."""
        return len(self.control.recommender.catalog)

    def gauges(self) -> Iterator[GaugeMetricFamily]:
        """Yields gauges of the served bundles, and of bundles and stores that cannot be used."""
        labels = ["variant", "model_version", "student"]
        info = GaugeMetricFamily("recommender_variant_info", "Served bundles.", labels=labels)
        refused = GaugeMetricFamily(
            "recommender_bundle_refused",
            "1 while the newest bundle of the variant is refused and an older one is served.",
            labels=["variant"],
        )
        lost = GaugeMetricFamily(
            "recommender_bundle_store_lost",
            "1 while the store at the variant's address does not answer; the bundle is served on.",
            labels=["variant"],
        )
        for slot in self._slots:
            student = slot.current.recommender.manifest.student
            info.add_metric([slot.name, slot.current.model_version, student], 1)
            refused.add_metric([slot.name], slot.refusal is not None)
            lost.add_metric([slot.name], slot.is_store_lost)
        return iter((info, refused, lost))

    @property
    def served(self) -> list[ServedVariant]:
        """All variants with the bundles that they serve now, the control first."""
        return [slot.current for slot in self._slots]

    @property
    def slots(self) -> Sequence[VariantSlot]:
        """The slots of all variants, the control first."""
        return self._slots

    def for_session(self, session_id: str | None) -> ServedVariant:
        """Returns the variant of a session, chosen by a hash of the session id.

        A session keeps its variant until the number, the order or the weights of variants change.
        If `session_id` is None, returns the control.
        """
        if session_id is None or len(self._slots) == 1:
            return self._slots[0].current
        digest = blake2b(session_id.encode(), digest_size=8).digest()
        point = int.from_bytes(digest) / 2**64 * self._cumulative_weights[-1]
        number = next(n for n, weight in enumerate(self._cumulative_weights) if point < weight)
        return self._slots[number].current

    async def serve(self, slot: VariantSlot, recommender: Recommender) -> None:
        """Serves `recommender` in `slot` from now on, extended by the added items and edits.

        The old recommender finishes the requests in progress.

        Raises:
            StudentError: the added items cannot be encoded; the old recommender stays.
        """
        async with self._changing:
            slot.current = await _changed(slot, recommender, self._added, self._edits)

    async def change_added(self, changes: Mapping[str, AddedItem | None]) -> None:
        """Changes the added items of every variant.

        `changes`: the new and the replaced items by item id; None for those that are removed. After
        a StudentError, the same changes can be made again.

        Raises:
            StudentError: a variant's student cannot encode the items.
        """
        async with self._changing:
            change(self._added, changes)
            await self._apply(changes, {})

    async def change_edits(self, changes: Mapping[str, ItemEdit | None]) -> None:
        """Changes the item edits of every variant.

        `changes`: the new and the replaced edits by item id; None for those that are removed.
        """
        async with self._changing:
            change(self._edits, changes)
            await self._apply({}, changes)

    async def _apply(
        self, added: Mapping[str, AddedItem | None], edits: Mapping[str, ItemEdit | None]
    ) -> None:
        for slot in self._slots:
            slot.current = await _changed(slot, slot.current.recommender, added, edits)

    def slot(self, variant: str) -> VariantSlot:
        """Returns the slot of the variant named `variant`.

        Raises:
            NotFoundError: there is no such variant.
        """
        if variant not in self._slot_by_name:
            names = ", ".join(self._slot_by_name)
            raise NotFoundError(f"no variant {variant!r}; there are: {names}")
        return self._slot_by_name[variant]


async def _changed(
    slot: VariantSlot,
    recommender: Recommender,
    added: Mapping[str, AddedItem | None],
    edits: Mapping[str, ItemEdit | None],
) -> ServedVariant:
    """Returns the variant with `recommender` after changes of added items and edits."""
    changed = await to_thread.run_sync(recommender.with_changes, added, edits)
    return ServedVariant(slot.name, changed)
