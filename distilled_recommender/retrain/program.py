"""`distilled-recommender retrain`: trains on events, and publishes a student if it is no worse.

distilled-recommender retrain configs/shop.toml --publish bundles

A killed run resumes where it stopped: each stage is a folder that is complete or absent, and the
window of the run is stored. A second run at the same time is refused.
"""

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from distilled_recommender.retrain.contest import at_look, decide, level_of, relative_gain
from distilled_recommender.retrain.lost_items import lost_items, reason_to_refuse
from distilled_recommender.retrain.runs import Look, Run, RunTable, decided
from export.__main__ import export
from export.contract.addresses.place import BundlePlace, place_of
from export.contract.bundle import Bundle, BundleError, load_bundle
from training.cli import say
from training.data.dataset import Dataset, Split
from training.data.sources.event_log import read_event_log
from training.data.sources.items_table import read_items
from training.data.storage import load_dataset
from training.distill import DistillOptions, distill
from training.distillation.best_refits import refits_of_best
from training.distillation.checkpoint import Checkpoint, load_checkpoint
from training.distillation.experiment_jobs import jobs_of
from training.distillation.variants import DISTILLED
from training.errors import ConfigError, DataError
from training.evaluation.yardstick import SELECTION_METRIC
from training.knowledge import Knowledge, load_knowledge
from training.prepare import prepare
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Work, Workers
from training.teach import TeachOptions, teach
from training.workplace import Workplace, knowledge_folder, open_experiment

Bundles = Annotated[
    str,
    Parameter(
        name="--publish",
        help="Folder of bundles, or an address such as s3://bucket/shop; its active bundle is the "
        "champion, which a challenger replaces if it is no worse.",
    ),
]


def command(
    config: Config, /, *, bundles: Bundles, work: Work = WORK, workers: Workers = None
) -> None:
    """Train on the events up to now; publish the student if it is no worse than the active one."""
    experiment, workplace = open_experiment(config, work)
    if experiment.data.source != "events":
        raise ConfigError(
            f"data.source = {experiment.data.source!r}: must be 'events', see docs/learning.md"
        )
    if experiment.knowledge:
        given = f"knowledge = '{experiment.knowledge}'"
        raise ConfigError(f"{given}: is about one dataset, and every run has another; remove it")
    run = retrain(experiment, workplace, bundles, workers)
    say(
        f"{run.decision}: {run.reason}\n"
        f"{run.seconds / 60:.1f} minutes, {run.teacher_tokens:,} teacher tokens"
    )


def retrain(
    experiment: Experiment, workplace: Workplace, bundles: str, workers: int | None = None
) -> Run:
    """Runs one retraining, or resumes the one that was killed; returns the run with its decision.

    Args:
        experiment: settings of the experiment, whose source is an event log.
        workplace: folders of the experiment.
        bundles: folder or address of bundles; its active bundle is the champion.
        workers: number of students trained in parallel; None for one per core.

    Raises:
        TrainingError: a stage fails for a reason that the user can fix.
        ConfigError: another retraining of this experiment is running.
    """
    table = RunTable(workplace.folder / "retrain")
    try:
        place = place_of(bundles)
    except BundleError as error:
        raise ConfigError(f"--publish {bundles}: {error}") from error
    with _alone(table.folder):
        run = _unfinished(table, place) or table.keep(_new_run(table, place))
        retraining = Retraining(experiment, workplace, place, table, run, workers)
        if not run.decision:
            run = table.keep(retraining.decide())
        if run.decision == "published":
            run = replace(retraining, run=run).publish()
        run = replace(run, seconds=round(time.time() - run.until / 1000, 1))
        table.finish(run)
    return run


@dataclass(frozen=True)
class Retraining:
    """One retraining of an experiment.

    Attributes:
        given: settings of the experiment, without the window of the run.
        workplace: folders of the experiment.
        place: folder or address of the bundles.
        table: table of all retrainings.
        run: the present run, which has the window.
        workers: number of students trained in parallel; None for one per core.
    """

    given: Experiment
    workplace: Workplace
    place: BundlePlace
    table: RunTable
    run: Run
    workers: int | None = None

    @property
    def experiment(self) -> Experiment:
        """The settings with the run's window, and with the newest slice as the test split."""
        data = self.given.data
        events = data.events
        assert events is not None  # noqa: S101 - the source is an event log
        window = events.model_copy(update={"until": _moment(self.run.until)})
        since = None if self.run.since is None else _moment(self.run.since)
        update = {"events": window, "test_since": since}
        return self.given.model_copy(update={"data": data.model_copy(update=update)})

    @cached_property
    def champion(self) -> Bundle | None:
        """The active bundle when the run began; None if there was none."""
        if self.run.champion is None:
            return None
        copies = self.workplace.folder / "champion"
        return load_bundle(self.place.folder(self.run.champion, copies))

    def decide(self) -> Run:
        """Trains a challenger and compares it with the champion; returns the decided run.

        Trains nothing if the newest slice has too few events or examples, or if the challenger
        would lack items of the champion (`lost_items`).
        """
        if (missing := self._events_missing()) is not None:
            return decided(self.run, "undecided", missing, metric=SELECTION_METRIC)
        prepare(self.experiment, self.workplace)
        dataset = load_dataset(self.workplace.dataset)
        examples = dataset.num_examples(Split.TEST)
        if self.run.champion is not None and examples < self.given.retrain.min_examples:
            return decided(
                self.run,
                "undecided",
                self._too_few(examples, "examples"),
                metric=SELECTION_METRIC,
                examples=examples,
            )
        if (loss := self._lost(dataset)) is not None:
            return decided(self.run, "refused", loss, metric=SELECTION_METRIC, examples=examples)
        teach(self.experiment, self.workplace, TeachOptions(reuse=True))
        options = DistillOptions(variant=DISTILLED, refit=True, workers=self.workers)
        distill(self.experiment, self.workplace, options)
        return _deposed(self.run, self.place) or self._compare(dataset, examples)

    def publish(self) -> Run:
        """Exports the challenger's refit, and makes it the active bundle of the place.

        Returns the run with the version of this bundle. If another bundle has become active
        meanwhile, publishes nothing and returns the run as undecided.

        Raises:
            ConfigError: the place cannot be used; the message names it.
        """
        export(self.experiment, self.workplace, refit=True)
        try:
            version = load_bundle(self.workplace.bundle).manifest.model_version
            run = replace(self.run, bundle=version)
            if (ended := _deposed(run, self.place)) is not None:
                return ended
            if self.place.active != version:
                self.place.publish_in_place_of(run.champion, self.workplace.bundle)
        except (BundleError, OSError) as error:
            raise ConfigError(f"--publish {self.place.name}: {error}") from error
        return run

    def _compare(self, dataset: Dataset, examples: int) -> Run:
        knowledge = self._knowledge(dataset)
        twin, stamp = self._twin(dataset, knowledge)
        figures: dict[str, Any] = {
            "challenger": twin.name,
            "metric": SELECTION_METRIC,
            "examples": examples,
            "teacher_tokens": self._tokens_read(knowledge),
        }
        if self.run.champion is None or self.champion is None:
            return decided(self.run, "published", "there was no active bundle", **figures)
        look = self._look(self.run.champion, twin, stamp, dataset)
        outcome = decide(look.gain, examples, self.given.retrain)
        if not math.isfinite(look.gain.mean):  # no interval, so it is no look
            return decided(self.run, outcome.decision, outcome.reason, **figures)
        level = level_of(look.number)
        reason = f"{outcome.reason} (look {look.number} at this champion, {level:.2%} interval)"
        if look.run != self.run.id:
            reason += f"; nothing is new since run {look.run}, so its contest counts"
        interval = {"difference": look.gain.mean, "low": look.gain.low, "high": look.gain.high}
        figures |= {**interval, "look": look.number, "level": level, "stamp": stamp}
        return decided(self.run, outcome.decision, reason, **figures)

    def _look(self, champion: str, twin: Checkpoint, stamp: str, dataset: Dataset) -> Look:
        """Compares twin and champion, unless an earlier run has done so on the same slice.

        A contest that is not held again costs no look.
        """
        if (held := self.table.look(champion, stamp)) is not None:
            return held
        assert self.champion is not None  # noqa: S101 - the run has a champion
        number = self.table.looks_at(champion) + 1
        num_draws = self.given.ladder.num_resamples
        gain = relative_gain(twin, self.champion, dataset, num_draws)
        return Look(self.run.id, number, at_look(gain, number))

    def _lost(self, dataset: Dataset) -> str | None:
        """Returns a sentence that says why the challenger's catalog is refused; None if it is not.

        It is refused if it lacks items of the champion, unless `retrain.may_lose_items` is true.
        """
        data = self.given.data
        if self.champion is None or data.items is None or self.given.retrain.may_lose_items:
            return None
        table = read_items(data.items, data.missing_titles)
        lost = lost_items(self.champion, table, dataset.catalog)
        return reason_to_refuse(lost, self.champion, self.given) if lost else None

    def _twin(self, dataset: Dataset, knowledge: Knowledge) -> tuple[Checkpoint, str]:
        """Returns the challenger's twin, and the hash of its training and of the dataset."""
        jobs = jobs_of(self.experiment, dataset, knowledge, [DISTILLED])
        twin = refits_of_best(jobs, self.workplace.checkpoints)["refit"]
        return load_checkpoint(self.workplace.refits / twin.name), twin.stamp

    def _knowledge(self, dataset: Dataset) -> Knowledge:
        folder = knowledge_folder(self.experiment, self.workplace)
        return load_knowledge(folder, dataset, self.experiment.teacher)

    def _tokens_read(self, knowledge: Knowledge) -> int:
        """Returns the teacher's tokens of this run; 0 if an earlier run made the knowledge."""
        made_at = knowledge_folder(self.experiment, self.workplace).stat().st_mtime
        return int(knowledge.provenance["tokens"]) if made_at * 1000 >= self.run.until else 0

    def _events_missing(self) -> str | None:
        """Returns a message if there are too few events to train; None if there are enough."""
        data, events = self.experiment.data, self.experiment.data.events
        if events is None or data.items is None:
            return None
        if self.run.since is not None:
            begin = {"since": _moment(self.run.since), "last_days": None}
            events = events.model_copy(update=begin)
        try:
            found = read_event_log(events, data.items, data.missing_titles).num_rows
        except DataError:  # no event at all
            found = 0
        if found >= self.given.retrain.min_examples:
            return None
        return self._too_few(found, "events")

    def _too_few(self, found: int, unit: str) -> str:
        return (
            f"{found:,} {unit} in the newest slice are too few to say: retrain.min_examples = "
            f"{self.given.retrain.min_examples:,}; the next run counts them too"
        )


def _unfinished(table: RunTable, place: BundlePlace) -> Run | None:
    """Returns the run that was killed; None if there is none, or if it cannot resume.

    A run without a decision cannot resume if its champion is no longer active. This function then
    finishes the run as undecided, and prints the reason.
    """
    run = table.current()
    # A decided run may have published its own bundle already, whose version only `publish` knows.
    if run is None or run.decision or (ended := _deposed(run, place)) is None:
        return run
    table.finish(ended)
    say(f"{ended.decision}: {ended.reason}")
    return None


def _deposed(run: Run, place: BundlePlace) -> Run | None:
    """Returns the run as undecided if neither its champion nor its own bundle is active.

    Returns None if the champion or the run's own bundle is active.
    """
    active = place.active
    if active in (run.champion, run.bundle):
        return None
    reason = (
        f"the active bundle has changed from {run.champion or 'none'} to {active or 'none'} since "
        "the run began; a new run takes the events up to now"
    )
    return decided(run, "undecided", reason, bundle=None)


def _new_run(table: RunTable, place: BundlePlace) -> Run:
    now, champion = time.time(), place.active
    return Run(
        id=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H-%M-%S.%fZ}",
        until=int(now * 1000),
        since=table.window_end_of(champion),
        champion=champion,
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Context manager that holds a lock on `folder`, which the system releases after a kill.

    Raises:
        ConfigError: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"{folder}: another retraining runs; wait for its end") from None
