"""A shop whose event log has the ratings of a dataset, and the stages that make its first model."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilled_recommender.app import main
from distilled_recommender.retrain.runs import Run, RunTable
from export.__main__ import export
from export.contract.bundles_folder import publish
from export.contract.log.events import SCHEMA, Event
from training.data.raw import RawData
from training.distill import DistillOptions, distill
from training.distillation.variants import DISTILLED
from training.events.log_folder import LogFolder
from training.events.records import tables_by_partition
from training.prepare import prepare
from training.settings.experiment import Experiment
from training.teach import TeachOptions, teach
from training.workplace import Workplace, open_experiment

_SOURCE = """
name = "shop"
[data]
source = "events"
items = "{folder}/items.jsonl"
min_interactions = {min_interactions}
[data.events]
folder = "{folder}/log"
"""


class Shop:
    """Files of a shop: its event log, its items, an experiment, and a folder of bundles.

    Attributes:
        raw: the ratings; timestamps are in seconds.
        bundles: folder of the bundles.
        experiment: settings of the experiment.
        workplace: folders of the experiment.
    """

    def __init__(self, folder: Path, raw: RawData, settings: str, min_interactions: int) -> None:
        """Makes a shop without events; `settings` are further settings of the experiment."""
        folder.mkdir()
        self._folder, self.raw, self.bundles = folder, raw, folder / "bundles"
        self._config = folder / "shop.toml"
        source = _SOURCE.format(folder=folder, min_interactions=min_interactions)
        self._config.write_text(source + settings, encoding="utf-8")
        self.experiment: Experiment
        self.workplace: Workplace
        self.experiment, self.workplace = open_experiment(self._config, folder / "work")

    def receive(self, begin: float, end: float) -> int:
        """Writes the ratings from `begin` to before `end` as events, and the items rated by then.

        Args:
            begin: time in seconds since 1970.
            end: time in seconds since 1970.

        Returns:
            The number of events.
        """
        times = times_of(self.raw)
        rows = np.flatnonzero((times >= begin) & (times < end))
        log = LogFolder(str(self._folder / "log"))
        for (kind, hour), records in tables_by_partition(self._events(rows)).items():
            log.write(kind, hour, records)
        self._write_items(np.unique(self.raw.item_indices[times < end]))
        return len(rows)

    def make_first_model(self) -> None:
        """Runs all stages on the events up to now, as `retrain` does without a contest."""
        prepare(self.experiment, self.workplace)
        teach(self.experiment, self.workplace, TeachOptions(reuse=True))
        options = DistillOptions(variant=DISTILLED, refit=True, workers=1)
        distill(self.experiment, self.workplace, options)
        export(self.experiment, self.workplace, refit=True)

    def serve(self, bundle: Path, until: float) -> str:
        """Publishes a bundle, and records it as a retraining at the time `until` would.

        Args:
            bundle: folder of the bundle.
            until: end of the bundle's window of events, in seconds since 1970.

        Returns:
            The version of the bundle.
        """
        version = publish(bundle, self.bundles).bundle
        first = Run("first", round(until * 1000), decision="published", bundle=version)
        self._table.finish(first)
        return str(version)

    def retrain(self) -> Run:
        """Runs the command `retrain`; returns its decided run.

        Raises:
            RuntimeError: the command fails.
        """
        places = ["--work", str(self.workplace.folder.parent), "--publish", str(self.bundles)]
        if code := main(["retrain", str(self._config), *places, "--workers", "1"]):
            raise RuntimeError(f"retrain ended with {code}")
        return self._table.read()[-1]

    def titles_read(self) -> set[str]:
        """Returns the titles that the teacher has read."""
        found: set[str] = set()
        for path in self.workplace.reading.glob("known-*/titles.json"):
            found.update(json.loads(path.read_text(encoding="utf-8")))
        return found

    @property
    def _table(self) -> RunTable:
        return RunTable(self.workplace.folder / "retrain")

    def _events(self, rows: NDArray[np.int64]) -> Iterable[Event]:
        users, times, ids = self.raw.users, times_of(self.raw), self.raw.catalog.item_ids
        for row in rows.tolist():
            session, time = self.raw.user_ids[users[row]], int(times[row] * 1000)
            item_id = ids[self.raw.item_indices[row] - 1]
            yield Event(
                *(SCHEMA, f"e{row}", "default", session, "click", item_id, time, time),
                sequence=row + 1,
            )

    def _write_items(self, items: NDArray[np.int32]) -> None:
        catalog = self.raw.catalog
        lines = [
            json.dumps({"item_id": catalog.item_ids[item - 1], "title": catalog.titles[item - 1]})
            for item in items.tolist()
        ]
        path = self._folder / "items.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def times_of(raw: RawData) -> NDArray[np.float64]:
    """Returns the timestamps of a dataset that has them, `[interactions]`."""
    assert raw.timestamps is not None  # noqa: S101 - the caller's dataset has them
    return np.asarray(raw.timestamps, dtype=np.float64)


def with_shuffled_histories(raw: RawData, until: float, seed: int) -> RawData:
    """Returns the dataset with each user's items before `until` in random order.

    Times stay as they are, and so does everything from `until` on.
    """
    items, is_early = raw.item_indices.copy(), times_of(raw) < until
    random = np.random.default_rng(seed)
    for begin, end in zip(raw.user_offsets, raw.user_offsets[1:], strict=False):
        early = begin + np.flatnonzero(is_early[begin:end])
        items[early] = random.permutation(items[early])
    return replace(raw, item_indices=items)
