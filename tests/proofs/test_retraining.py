"""The short form of `python -m proofs retraining`: visitors who walk around a ring of items."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distilled_recommender.retrain import program
from proofs.retraining import measured
from proofs.retraining import shop as shop_module
from proofs.retraining.shop import with_shuffled_histories
from tests.service.conftest import RING
from tests.service.conftest import save_bundle_with as save_bundle_with
from tests.training.teacher.conftest import tiny_language_model_path as tiny_language_model_path
from training.data.catalog import Catalog
from training.data.raw import Origin, RawData
from training.settings.experiment import Experiment
from training.workplace import Workplace

DAY = 86_400
OLD, NEW = 60, 20  # visitors before and within the newest two days
LENGTH = 5  # ratings of a visitor
SETTINGS = """
[teacher]
kind = "titles"
precision = "float32"
model = "{model}"
list_length = 3
[student]
max_history_length = 4
hidden_size = 16
num_layers = 1
dropout = 0.2
[training]
seeds = [0]
batch_size = 16
learning_rate = 2e-2
max_epochs = 5
patience = 3
[distillation]
list_length = 1
ranking_weight = 0.5
position_temperature = 1.0
confidence = false
consistency = false
[ladder]
num_resamples = 200
[retrain]
margin = -0.3
min_examples = 60
"""


def ring() -> RawData:
    """Visitors of three days: 60, one and 19. Only the newest ones rate the item h."""
    num_users = OLD + NEW
    starts = [user % (3 if user < OLD else 4) for user in range(num_users)]
    items = [[start + place + 1 for place in range(LENGTH)] for start in starts]
    begins = [DAY * user // OLD for user in range(OLD)]
    begins += [DAY * 3 // 2, *(3 * DAY - 10 * left for left in range(NEW - 1, 0, -1))]
    times = [[begin + place for place in range(LENGTH)] for begin in begins]
    catalog = Catalog(tuple(RING), tuple(f"Item {each}" for each in RING), ({},) * len(RING))
    return RawData(
        origin=Origin("ring"),
        catalog=catalog,
        user_ids=tuple(f"u{user}" for user in range(num_users)),
        user_offsets=np.arange(num_users + 1) * LENGTH,
        item_indices=np.array(items, dtype=np.int32).ravel(),
        source_rows=np.arange(num_users * LENGTH) + 1,
        timestamps=np.array(times, dtype=np.int64).ravel(),
        splits=None,
    )


@pytest.fixture
def exports(save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready-made bundles, which walk the ring, in place of exports, which take half a minute."""
    scales = iter((1, 2))

    def export(_: Experiment, workplace: Workplace, *, refit: bool) -> None:
        assert refit
        shutil.rmtree(workplace.bundle, ignore_errors=True)
        shutil.copytree(save_bundle_with(scale=next(scales)), workplace.bundle)

    for module in (program, shop_module):
        monkeypatch.setattr(module, "export", export)


@pytest.mark.slow
@pytest.mark.usefixtures("exports")
def test_the_teacher_reads_new_titles_only_and_each_decision_has_its_reason(
    tmp_path: Path, tiny_language_model_path: Path
) -> None:
    settings = SETTINGS.format(model=tiny_language_model_path)
    found = list(measured(tmp_path, ring(), settings, days=2, seed=1, min_interactions=1))

    figures = {each.name: each.value for each in found}
    assert [each.name for each in found if not each.holds] == []
    assert figures["first model: titles read"] == 7
    assert figures["first model: tokens read"] == 7 * len("Item a\n")
    assert figures["2 days: titles read"] == 1
    assert figures["2 days: tokens read"] == len("Item h\n")
    assert figures["shuffled histories: champion"] > figures["shuffled histories: challenger"]
    decisions = [each.name.partition(",")[0] for each in found if each.unit == "1 = published"]
    assert decisions == [
        "first day: undecided",
        "2 days: published",
        "nothing new: undecided",
        "shuffled histories: worse",
    ]


def test_histories_before_a_moment_are_shuffled_within_each_visitor() -> None:
    raw = ring()

    shuffled = with_shuffled_histories(raw, until=DAY, seed=1)

    before, after = (each.item_indices.reshape(-1, LENGTH) for each in (raw, shuffled))
    assert (after[OLD:] == before[OLD:]).all()
    assert (np.sort(after[:OLD]) == before[:OLD]).all()
    assert (after[:OLD] != before[:OLD]).any(axis=1).mean() > 0.9
