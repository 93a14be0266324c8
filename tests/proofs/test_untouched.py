"""Data that no config names: a generated shop and an earlier cut, through all programs."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from proofs.untouched import SHARE, measured
from proofs.untouched.generated import FIRST_SECOND, NEW_FROM, YEAR_SECONDS, Shop
from proofs.untouched.tables import earlier_cut, write_tables
from tests.service.conftest import save_bundle_with as save_bundle_with
from tests.training.teacher.conftest import tiny_language_model_path as tiny_language_model_path
from training.data.catalog import Catalog
from training.data.dataset import Split
from training.data.raw import RawData
from training.data.row_order import order_by_user
from training.data.sources.tables import read_tables
from training.errors import DataError
from training.evaluation.baselines.registry import BASELINES

SETTINGS = """
[teacher]
kind = "titles"
precision = "float32"
model = "{model}"
[student]
max_history_length = 8
hidden_size = 8
num_layers = 1
[training]
seeds = [0]
batch_size = 32
max_epochs = 1
[ladder]
seeds = [0]
headline_seeds = [0]
num_resamples = 100
[ladder.grids]
plain = {{ "training.learning_rate" = [1e-2] }}
ranking = {{ "distillation.ranking_weight" = [0.3] }}
embeddings = {{ "distillation.offset_dropout" = [0.1] }}
method = {{ "distillation.ranking_weight" = [0.3] }}
"""
TINY = Shop(num_customers=60, topics=("chess", "sailing"), topic_size=20, new_items=2)


def table(times: Sequence[int] | None, splits: Sequence[Split] | None = None) -> RawData:
    """Two customers: the first has a b c, the second b d; c and d come last."""
    catalog = Catalog(("a", "b", "c", "d"), ("A", "B", "C", "D"), ({},) * 4)
    return order_by_user(
        "test",
        catalog,
        ["u", "u", "u", "v", "v"],
        np.array([1, 2, 3, 2, 4]),
        timestamps=None if times is None else np.array(times),
        positions=np.array([0, 1, 2, 0, 1]),
        splits=None if splits is None else np.array(splits, dtype=np.uint8),
    )


@pytest.mark.slow
def test_all_programs_run_on_a_generated_shop_and_its_bundle_answers(
    tmp_path: Path, tiny_language_model_path: Path, save_bundle_with: Callable[..., Path]
) -> None:
    def run(module: str, words: Sequence[str]) -> int:
        if module == "export":  # which takes half a minute: a ready-made bundle
            shutil.copytree(save_bundle_with(), tmp_path / "work" / "shop" / "bundle")
            return 0
        name = f"{module}.__main__" if module == "training.ladder" else module
        workers = {"training.distill", "training.ladder"}
        code: int = import_module(name).main(
            [*words, *(["--workers", "1"] if module in workers else [])]
        )
        return code

    settings = SETTINGS.format(model=tiny_language_model_path)
    found = list(measured(tmp_path, {"shop": TINY.interactions()}, settings, (), run))

    assert [each.name for each in found if not each.holds] == []
    values = {each.name: each.value for each in found}
    assert [name for name in values if name.endswith("exit code")] == [
        f"shop: {stage}: exit code"
        for stage in (
            *("prepare", "teach", "distill --refit", "evaluate", "export --refit"),
            "ladder",
        )
    ]
    for row in ("CE", "DLLM2Rec", "order-aware kNN"):
        assert {name for name in values if name.startswith(f"shop: {row}")} == {
            f"shop: {row}, validation",
            f"shop: {row}, test",
            f"shop: {row}, refitted, test",
        }
    without_a_teacher = 1
    assert sum("verdict" in name for name in values) == len(BASELINES) + without_a_teacher


def test_a_proof_that_was_stopped_runs_only_what_it_had_not_completed(tmp_path: Path) -> None:
    asked: list[str] = []
    codes = iter([0, 0, 1, 1])

    def run(module: str, _: Sequence[str]) -> int:
        asked.append(module)
        return next(codes)

    raw = TINY.interactions()
    first = [*measured(tmp_path, {"one": raw}, "", (), run)]
    again = [*measured(tmp_path, {"one": raw}, "", (), run)]

    assert asked == [
        *("training.prepare", "training.teach", "training.distill"),
        "training.distill",
    ]
    assert again[:4] == first[:4]  # with the times of the first run


def test_a_program_that_fails_is_a_missed_target_and_ends_its_set_only(tmp_path: Path) -> None:
    asked = []

    def run(module: str, words: Sequence[str]) -> int:
        asked.append((module, Path(words[0]).stem))
        return 2

    raw = TINY.interactions()
    found = list(measured(tmp_path, {"one": raw, "other": raw}, "", (), run))

    assert asked == [("training.prepare", "one"), ("training.prepare", "other")]
    assert [each.name for each in found if not each.holds] == [
        "one: prepare: exit code",
        "other: prepare: exit code",
    ]


def test_customers_walk_within_a_topic_and_new_items_come_late() -> None:
    shop = Shop(num_customers=400, topics=("chess", "sailing", "yoga"), topic_size=20, new_items=2)
    raw = shop.interactions()
    places = raw.item_indices - 1
    topics = places // shop.topic_size
    steps = np.flatnonzero(np.diff(raw.users) == 0)
    drifts = (topics[steps + 1] - topics[steps]) % 3

    assert raw.catalog.titles[:2] == ("Chess guide 1", "Chess guide 2")
    assert Counter(drifts.tolist())[2] == 0  # a customer drifts to the next topic only
    assert 0.7 < (drifts == 0).mean() < 0.95
    assert 0.4 < (places[steps + 1] - places[steps] == 1).mean() < 0.8
    assert raw.timestamps is not None
    new = places % shop.topic_size >= shop.topic_size - shop.new_items
    assert new.any()
    assert raw.timestamps[new].min() >= FIRST_SECOND + NEW_FROM * YEAR_SECONDS
    pairs = set(zip(raw.users.tolist(), places.tolist(), strict=True))
    assert len(pairs) == raw.num_rows >= 5 * shop.num_customers  # nobody repeats an item


def test_an_earlier_cut_has_neither_later_interactions_nor_their_items() -> None:
    cut = earlier_cut(table(times=[0, 59, 60, 10, 100]), SHARE)

    assert cut.catalog.item_ids == ("a", "b")
    assert cut.user_offsets.tolist() == [0, 2, 3]
    assert cut.item_indices.tolist() == [1, 2, 2]


def test_a_table_without_times_is_cut_where_its_validation_begins(tmp_path: Path) -> None:
    train, validation, test = Split.TRAIN, Split.VALIDATION, Split.TEST
    cut = earlier_cut(table(None, [train, train, test, train, validation]), SHARE)
    data = write_tables(cut, tmp_path)

    read = read_tables(tmp_path / "interactions.parquet", tmp_path / "items.csv")
    assert read.catalog.item_ids == ("a", "b")
    assert read.item_indices.tolist() == [1, 2, 2]
    assert read.timestamps is None
    assert read.splits is None
    assert data.endswith('split = "leave-one-out"\n')
    with pytest.raises(DataError, match="neither a timestamp nor a split"):
        earlier_cut(table(None), SHARE)
