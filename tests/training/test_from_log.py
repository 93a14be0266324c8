"""A student from the event log: the same, to the bit, as from a table of the same interactions."""

import re
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.training.event_log import event, write
from training import distill, prepare, teach
from training.data.storage import load_dataset
from training.events.log_folder import LogFolder

ITEMS = "abcdefgh"
CONFIG = """
name = "shop"
[data]
items = "{folder}/items.csv"
min_interactions = 1
{source}
[teacher]
kind = "tf-idf"
list_length = 3
[student]
max_history_length = 4
hidden_size = 16
num_layers = 1
[training]
seeds = [3]
batch_size = 16
max_epochs = 2
[distillation]
list_length = 2
"""
SOURCES = {
    "table": 'source = "tables"\ninteractions = "{folder}/interactions.csv"',
    "log": 'source = "events"\n[data.events]\nfolder = "{folder}/log"',
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with items, and the same interactions as a table and as an event log."""
    titles = "".join(f"{item},Item {item}\n" for item in ITEMS)
    (tmp_path / "items.csv").write_text(f"item_id,title\n{titles}")
    rows = [
        (f"v1.{session}", ITEMS[(session * 5 + place) % 8], 10_000 * session + 997 * place)
        for session in range(40)
        for place in range(5)
    ]
    columns = ["user_id", "item_id", "timestamp"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "interactions.csv", index=False)
    events = [event(*row) for row in rows]
    for begin in (120, 0, 60):  # files overlap, and come in any order
        write(LogFolder(str(tmp_path / "log")), "event", events[begin : begin + 80])
    return tmp_path


def trained_from(source: str, shop: Path) -> Path:
    """Runs prepare, teach and distill from a source; returns the folder of the experiment."""
    config = shop / f"{source}.toml"
    config.write_text(
        CONFIG.format(folder=shop, source=SOURCES[source].format(folder=shop)), encoding="utf-8"
    )
    arguments = [str(config), "--work", str(shop / source)]
    assert prepare.main(arguments) == 0
    assert teach.main(arguments) == 0
    assert distill.main([*arguments, "--workers", "1"]) == 0
    return shop / source / "shop"


@pytest.mark.slow
def test_the_log_and_a_table_of_its_events_give_the_same_student(shop: Path) -> None:
    folders = [trained_from(source, shop) for source in SOURCES]

    fingerprints = {load_dataset(folder / "dataset").fingerprint for folder in folders}
    assert len(fingerprints) == 1
    for name in ("distilled-3", "plain-3"):
        from_table, from_log = (
            load_file(folder / "checkpoints" / name / "student.safetensors") for folder in folders
        )
        assert from_table.keys() == from_log.keys()
        differing = [
            key for key in from_log if from_log[key].tobytes() != from_table[key].tobytes()
        ]
        assert differing == []


def test_old_orders_and_the_log_become_one_table_as_the_document_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = Path(__file__).parents[2] / "docs" / "learning.md"
    block = re.search(r"```python\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
    assert block
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    orders = "user_id,item_id,timestamp\nann,007,1700000000\nann,b,1700000002\n"
    (tmp_path / "data" / "interactions.csv").write_text(orders)
    (tmp_path / "data" / "items.csv").write_text("item_id,title\n007,Seven\nb,B\n")
    clicks = [event("s", "b", 1_700_000_001_000), event("s", "added-live", 1_700_000_001_001)]
    write(LogFolder("work/log"), "event", clicks)

    exec(block[1], {})  # noqa: S102 - the document's own program

    lines = (tmp_path / "data" / "both.csv").read_text().splitlines()
    assert lines == [
        "user_id,item_id,timestamp",
        "ann,007,1700000000000",
        "s,b,1700000001000",
        "ann,b,1700000002000",
    ]
