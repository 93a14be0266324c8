"""A generated shop: items in topics, customers who walk within a topic and drift to the next one.

Items of a topic have an order, like the volumes of a series. A customer's next item is mostly the
next one of that order, sometimes another item of the topic, and sometimes one of the neighbouring
topic. A title names the topic and the series. The last items of each topic are new: nobody can have
them before `NEW_FROM` of the time.
"""

from dataclasses import dataclass

import numpy as np

from training.data.catalog import Catalog
from training.data.raw import RawData
from training.data.row_order import order_by_user

_TOPICS = """
gardening chess sailing baking astronomy pottery cycling knitting fishing painting climbing
beekeeping origami carpentry archery calligraphy surfing birdwatching juggling photography
fencing cheese guitar skating yoga volcanoes dinosaurs trains castles submarines robots
spices mushrooms butterflies glaciers lighthouses windmills violins kites puppets
"""
TOPICS = tuple(_TOPICS.split())
FORMS = ("guide", "handbook", "kit", "course", "atlas")
NEW_FROM = 0.85  # share of the time range
FIRST_SECOND, YEAR_SECONDS = 1_700_000_000, 365 * 86_400

_ONWARD, _WITHIN = 0.6, 0.25  # shares of steps; the others drift to the next topic
_STEP_SECONDS = 3_600.0  # mean time between two interactions of a customer
_MIN_LENGTH, _MEAN_LENGTH = 5, 13  # interactions of a customer


@dataclass(frozen=True)
class Shop:
    """Size of a generated shop.

    Attributes:
        num_customers: number of customers; each has 13 interactions on average, at least five.
        topics: words that name the topics, one each.
        topic_size: number of items of a topic.
        new_items: number of items of a topic that nobody can have before `NEW_FROM` of the time.
        seed: seed of everything random.
    """

    num_customers: int = 8_000
    topics: tuple[str, ...] = TOPICS
    topic_size: int = 60
    new_items: int = 6
    seed: int = 1

    def interactions(self) -> RawData:
        """Generates the interactions, with timestamps in seconds; no customer repeats an item."""
        random = np.random.default_rng(self.seed)
        users: list[str] = []
        items: list[int] = []
        times: list[int] = []
        for customer in range(self.num_customers):
            began = random.random()
            walk = self._walk(random, self._on_sale(began))
            gaps = random.exponential(_STEP_SECONDS, len(walk)) + 1
            users += [f"customer-{customer}"] * len(walk)
            items += walk
            times += (FIRST_SECOND + began * YEAR_SECONDS + gaps.cumsum()).astype(int).tolist()
        return order_by_user(
            "a generated shop", self.catalog(), users, np.array(items), timestamps=np.array(times)
        )

    def catalog(self) -> Catalog:
        """Returns the items in the order of their topics; a title is `Chess handbook 7`."""
        numbers = range(self.topic_size)
        titles = [
            f"{topic.capitalize()} {FORMS[number * len(FORMS) // self.topic_size]} {number + 1}"
            for topic in self.topics
            for number in numbers
        ]
        ids = tuple(f"item-{index}" for index in range(1, len(titles) + 1))
        return Catalog(ids, tuple(titles), tuple({} for _ in titles))

    def _on_sale(self, moment: float) -> int:
        """Returns how many items of each topic there are at `moment`, from 0 to 1."""
        return self.topic_size - (0 if moment >= NEW_FROM else self.new_items)

    def _walk(self, random: np.random.Generator, on_sale: int) -> list[int]:
        """Returns item indices of a customer, in order, where topics have `on_sale` items each."""
        length = _MIN_LENGTH + int(random.poisson(_MEAN_LENGTH - _MIN_LENGTH))
        topic, place = int(random.integers(len(self.topics))), int(random.integers(on_sale))
        walk: dict[int, None] = {}
        for step in random.random(length):
            if step >= _ONWARD + _WITHIN:
                topic = (topic + 1) % len(self.topics)
            if step >= _ONWARD:
                place = int(random.integers(on_sale))
            while (item := topic * self.topic_size + place + 1) in walk:
                place = (place + 1) % on_sale
            walk[item] = None
            place = (place + 1) % on_sale
        return [*walk]
