"""A shop whose visitors walk around the ring of `tests.service.conftest`: a, b, c, …, h, a."""

import random
import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from distilled_recommender.retrain import program
from distilled_recommender.retrain.runs import Run
from export.contract.bundles_folder import LINK_NAME, BundleLink
from tests.service.conftest import RING
from tests.service.conftest import save_bundle_with as save_bundle_with
from tests.training.event_log import event, write
from training.data.storage import load_dataset
from training.events.log_folder import LogFolder
from training.settings.experiment import Experiment
from training.workplace import Workplace

HOUR = 3_600_000
CONFIG = """
name = "shop"
[data]
source = "events"
items = "{folder}/items.csv"
min_interactions = {min_interactions}
[data.events]
folder = "{folder}/log"
[teacher]
kind = "tf-idf"
list_length = 3
[student]
max_history_length = 4
hidden_size = 16
num_layers = 1
[training]
seeds = [0]
batch_size = 8
learning_rate = {learning_rate}
max_epochs = {max_epochs}
pair_bonus = false  # it alone knows the ring
[distillation]
list_length = 1
[ladder]
num_resamples = 200
[retrain]
margin = -0.1
min_examples = 40
{retrain}
"""


class Shop:
    """A shop's files: its log, its items, an experiment, and a folder of bundles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = LogFolder(str(folder / "log"))
        self.bundles = folder / "bundles"
        self.num_sessions = 0
        rows = "".join(f"{item_id},Item {item_id}\n" for item_id in RING)
        (folder / "items.csv").write_text(f"item_id,title\n{rows}")
        self.config = folder / "shop.toml"
        self.write_config()

    def write_config(
        self,
        learning_rate: float = 1e-2,
        max_epochs: int = 6,
        min_interactions: int = 1,
        retrain: str = "",
    ) -> None:
        """Writes the experiment; a tiny learning rate gives a student that knows nothing.

        `retrain` is a further line of its section of that name.
        """
        settings = {
            "learning_rate": learning_rate,
            "max_epochs": max_epochs,
            "min_interactions": min_interactions,
            "retrain": retrain,
        }
        self.config.write_text(CONFIG.format(folder=self.folder, **settings))

    def visit(
        self,
        num_sessions: int,
        begin: int,
        step_ms: int = 1_000,
        shuffled: random.Random | None = None,
    ) -> None:
        """Writes sessions of six events, which begin one after another from `begin` on.

        With `shuffled`, the items of each session are in random order.
        """
        rows: list[dict[str, Any]] = []
        for number in range(num_sessions):
            session = f"s{self.num_sessions + number}"
            items = [RING[(number * 5 + place) % len(RING)] for place in range(6)]
            if shuffled:
                shuffled.shuffle(items)
            for place, item_id in enumerate(items):
                rows.append(event(session, item_id, begin + (6 * number + place) * step_ms))
        self.num_sessions += num_sessions
        write(self.log, "event", rows)

    def visit_after(self, run: Run, num_sessions: int) -> None:
        """Writes sessions of an event a millisecond from the end of a run's window, and waits.

        So the next run's window has all of them, however fast the runs are.
        """
        self.visit(num_sessions, run.until, step_ms=1)
        while now_ms() <= run.until + num_sessions * 6:
            time.sleep(0.001)

    @property
    def arguments(self) -> list[str]:
        """Arguments of the command `retrain`."""
        paths = ["--work", str(self.folder / "work"), "--publish", str(self.bundles)]
        return [str(self.config), *paths, "--workers", "1"]

    @property
    def active(self) -> str | None:
        """Version of the active bundle."""
        return BundleLink(self.bundles / LINK_NAME).bundle

    @property
    def work(self) -> Path:
        """Folder of the experiment."""
        return self.folder / "work" / "shop"


@pytest.fixture(autouse=True)
def a_dozen_sessions_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest slice of these small shops decides, as that of a real one does."""
    monkeypatch.setattr("training.evaluation.intervals.FEWEST_USERS", 2)


@pytest.fixture
def empty_shop(
    tmp_path: Path, save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Shop:
    """A shop without visitors.

    Exporting takes half a minute, so ready-made bundles, which know the ring, take its place: each
    with another version. `proofs.loop` exports.
    """
    scales = count(2)

    def export(_: Experiment, workplace: Workplace, *, refit: bool) -> None:
        assert refit
        made_of, dataset = workplace.folder / "exported", load_dataset(workplace.dataset)
        if not made_of.exists() or made_of.read_text() != dataset.fingerprint:
            shutil.rmtree(workplace.bundle, ignore_errors=True)
            shutil.copytree(save_bundle_with(scale=next(scales)), workplace.bundle)
            made_of.write_text(dataset.fingerprint)

    monkeypatch.setattr(program, "export", export)
    return Shop(tmp_path)


@pytest.fixture
def shop(empty_shop: Shop) -> Shop:
    """A shop with sixty sessions of the last hours."""
    empty_shop.visit(60, now_ms() - 5 * HOUR)
    return empty_shop


def now_ms() -> int:
    """The present time in ms since 1970."""
    return int(time.time() * 1000)
