"""Proves that `retrain` takes minutes, and that its teacher reads only the titles that are new.

A shop has the ratings of MovieLens as events, with their own clocks. The teacher is SmolLM2, which
reads titles. The first model learns all events but those of the newest days. Then the days' events
come in, with items that nobody has rated before, and `retrain` runs: after one day, after all of
them, and once more with nothing new. A second shop has the same events, but all histories before
the newest days are in random order. Its `retrain` must refuse the challenger.

MovieLens has about 15 ratings a day, but `retrain` wants 500 examples, and its interval is over
users. So the newest slice is a year: 8,077 ratings of 66 users, a twelfth of all. Half a year has
33 users.

python -m proofs retraining [--days N] [--seed N]
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from distilled_recommender.retrain.runs import Run
from export.contract.bundle import load_bundle
from export.served_figures import bundle_ranker
from proofs.record import Figure
from proofs.retraining.shop import Shop, times_of, with_shuffled_histories
from training.data.dataset import Split
from training.data.raw import RawData
from training.data.sources.movielens import read_movielens
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.evaluation.yardstick import SELECTION_METRIC, Ranker, evaluate, ranker_of
from training.knowledge import load_knowledge
from training.students.scorer import StudentScorer
from training.teacher.llm.prompts import title_lines
from training.teacher.tuning.tuned_model import language_model
from training.workplace import knowledge_folder

SETTINGS = """
[teacher]
kind = "titles"
[student]
max_history_length = 50
hidden_size = 64
num_layers = 1
dropout = 0.2
[training]
seeds = [0]
batch_size = 64
learning_rate = 2e-3
max_epochs = 8
patience = 2
[distillation]
ranking_weight = 0.1
position_temperature = 3.0
confidence = false
consistency = false
offset_dropout = 0.1
"""
"""Teacher and seed as in configs/learn.toml, student as in configs/movielens.toml, fewer steps."""

_DAY_SECONDS = 86_400
_MINUTES = 30.0


def prove(*, days: int = 365, seed: int = 1) -> Iterator[Figure]:
    """Yields times, titles and tokens of retrainings on MovieLens, and their decisions.

    Args:
        days: length of the newest slice.
        seed: seed of the random order of the second shop's histories.
    """
    with TemporaryDirectory() as name:
        yield from measured(Path(name), read_movielens(), SETTINGS, days=days, seed=seed)


def measured(
    folder: Path,
    raw: RawData,
    settings: str,
    *,
    days: int,
    seed: int,
    min_interactions: int = 5,
) -> Iterator[Figure]:
    """Yields the figures of two shops with the ratings in `raw`.

    Args:
        folder: existing folder for all files.
        raw: the ratings; timestamps are in seconds.
        settings: settings of the experiment, in TOML, without those of the data.
        days: length of the newest slice.
        seed: seed of the random order of the second shop's histories.
        min_interactions: k of the k-core filter.
    """
    end = times_of(raw).max() + 1
    cut = end - days * _DAY_SECONDS
    shop = Shop(folder / "shop", raw, settings, min_interactions)
    yield Figure("first model: events", "events", shop.receive(0, cut))
    yield from _first_model(shop)
    first = shop.serve(shop.workplace.bundle, cut)
    shuffled = with_shuffled_histories(raw, cut, seed)
    other = Shop(folder / "shuffled", shuffled, settings, min_interactions)
    shutil.copytree(shop.workplace.reading, other.workplace.reading)

    yield from _with_events(shop, "first day", cut, cut + _DAY_SECONDS)
    yield from _with_events(shop, f"{days} days", cut + _DAY_SECONDS, end)
    yield from _with_events(shop, "nothing new", end, end)
    other.receive(0, cut)
    other.serve(shop.bundles / first, cut)
    yield from _with_events(other, "shuffled histories", cut, end, refused=True)


def _first_model(shop: Shop) -> Iterator[Figure]:
    began, spent = time.monotonic(), time.process_time()
    shop.make_first_model()
    yield Figure("first model: time", "s", time.monotonic() - began)
    yield Figure("first model: processor time", "s", time.process_time() - spent)
    dataset = load_dataset(shop.workplace.dataset)
    knowledge = load_knowledge(
        knowledge_folder(shop.experiment, shop.workplace), dataset, shop.experiment.teacher
    )
    yield Figure("first model: titles read", "titles", len(shop.titles_read()))
    yield Figure("first model: tokens read", "tokens", int(knowledge.provenance["tokens"]))


def _with_events(
    shop: Shop, label: str, begin: float, end: float, *, refused: bool = False
) -> Iterator[Figure]:
    """Lets events come in and retrains; yields what it took, and the decision with its reason."""
    known = shop.titles_read()
    yield Figure(f"{label}: new events", "events", shop.receive(begin, end))
    began, spent = time.monotonic(), time.process_time()
    run = shop.retrain()
    yield Figure(f"{label}: time", "s", time.monotonic() - began, at_most=60 * _MINUTES)
    yield Figure(f"{label}: processor time", "s", time.process_time() - spent)
    new = _new_titles(shop, run, known)
    read = len(shop.titles_read() - known)
    yield Figure(f"{label}: titles read", "titles", read, at_most=len(new))
    most = _tokens_of(shop, new)
    yield Figure(f"{label}: tokens read", "tokens", run.teacher_tokens, at_most=most)
    name, is_published = f"{label}: {run.decision}, {run.reason}", run.decision == "published"
    at_most = 0 if refused else None
    yield Figure(name, "1 = published", int(is_published), at_most=at_most)
    if run.difference is not None:
        yield from _contest(shop, label, run)


def _new_titles(shop: Shop, run: Run, known: set[str]) -> set[str]:
    """Returns the titles of a run's dataset that are not in `known`; none if it trained nothing."""
    if run.challenger is None:
        return set()
    return set(load_dataset(shop.workplace.dataset).catalog.titles) - known


def _tokens_of(shop: Shop, titles: set[str]) -> int:
    if not titles:
        return 0
    tokenizer = language_model(shop.experiment.teacher).tokenizer
    return sum(map(len, title_lines(tokenizer, sorted(titles))))


def _contest(shop: Shop, label: str, run: Run) -> Iterator[Figure]:
    """Yields the figures of champion and challenger on the newest slice, measured again."""
    dataset = load_dataset(shop.workplace.dataset)
    rows = dataset.example_rows(Split.TEST)
    yield Figure(f"{label}: examples of the newest slice", "examples", len(rows))
    yield Figure(f"{label}: their users", "users", len(set(dataset.user_of_row[rows].tolist())))
    twin = load_checkpoint(shop.workplace.refits / str(run.challenger)).student()
    rankers: dict[str, Ranker] = {
        "champion": bundle_ranker(load_bundle(shop.bundles / str(run.champion)), dataset),
        "challenger": ranker_of(StudentScorer(twin, dataset), dataset),
    }
    for name, ranker in rankers.items():
        metric = evaluate(ranker, dataset, rows).metrics[SELECTION_METRIC]
        yield Figure(f"{label}: {name}", SELECTION_METRIC, metric)
    gain = (float(each) for each in (run.difference or 0, run.low or 0, run.high or 0))
    yield Figure(f"{label}: relative gain", "share", *gain)
