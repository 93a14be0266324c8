"""The program `prepare` from a config to a dataset on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import prepare
from training.data.build import build_dataset
from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.settings.experiment import load_experiment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two users, items a, b, c in turn, ten moments, the newest two held out."""
    (tmp_path / "items.csv").write_text("item_id,title\na,Alien\nb,Brazil\nc,Clue\n")
    rows = [
        f"{'ann' if moment % 2 else 'bob'},{'abc'[moment % 3]},{moment}" for moment in range(10)
    ]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    path = tmp_path / "tiny.toml"
    path.write_text(
        f'name = "tiny"\n[data]\nsource = "tables"\nmin_interactions = 2\n'
        f'interactions = "{tmp_path}/interactions.csv"\nitems = "{tmp_path}/items.csv"\n'
    )
    return path


def run(config: Path) -> int:
    return prepare.main([str(config), "--work", str(config.parent / "work")])


def prepared(config: Path) -> Dataset:
    return load_dataset(config.parent / "work" / "tiny" / "dataset")


def test_prepare_writes_a_dataset_that_loads(config: Path) -> None:
    assert run(config) == 0

    dataset = prepared(config)

    assert dataset.user_ids == ("bob", "ann")
    assert dataset.item_indices.tolist() == [1, 3, 2, 1, 3, 2, 1, 3, 2, 1]
    assert np.flatnonzero(dataset.splits == Split.VALIDATION).tolist() == [4]
    assert np.flatnonzero(dataset.splits == Split.TEST).tolist() == [9]


def test_prepare_prints_a_summary(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(config)

    output = capsys.readouterr().out
    assert "2 users, 3 items, 10 interactions" in output
    assert "validation         1, 1 with a history, 0.0% of them cold" in output


def test_prepare_counts_what_the_core_filter_leaves_out(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, row in (("items.csv", "d,Dune\n"), ("interactions.csv", "\neve,d,3")):
        with config.with_name(name).open("a") as file:
            file.write(row)

    assert run(config) == 0
    output = capsys.readouterr().out
    assert "data.min_interactions = 2 leaves out 1 of 3 users and 1 of 4 items" in output


def test_cold_items_without_any_interaction_are_counted_apart(tiny_dataset: Dataset) -> None:
    # d and e of five are in no training row; both have an interaction.
    assert "2 items are cold, 0 of them without any interaction" in prepare.describe(tiny_dataset)
    titles = (*tiny_dataset.catalog.titles, "Fargo (1996)")
    larger = Catalog((*"abcdef",), titles, ({},) * 6)
    with_f = replace(tiny_dataset, catalog=larger)
    assert "3 items are cold, 1 of them without any interaction" in prepare.describe(with_f)


def test_prepare_does_nothing_when_nothing_changed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config)
    written = (config.parent / "work/tiny/dataset/dataset.json").stat().st_mtime_ns
    capsys.readouterr()

    assert run(config) == 0

    assert "is current, nothing to do" in capsys.readouterr().out
    assert (config.parent / "work/tiny/dataset/dataset.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("items.csv", "Brazil", "Bambi"), ("tiny.toml", "[data]", "[data]\ntest_share = 0.3")],
)
def test_prepare_runs_again_when_its_input_changed(
    config: Path, name: str, old: str, new: str
) -> None:
    run(config)
    before = prepared(config).fingerprint
    path = config.with_name(name)
    path.write_text(path.read_text().replace(old, new))

    assert run(config) == 0
    assert prepared(config).fingerprint != before


def test_an_error_leaves_the_last_dataset_as_it_was(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config)
    before = prepared(config).fingerprint
    config.with_name("items.csv").write_text("item_id,title\na,\n")

    assert run(config) == 2

    assert "items.csv: title is missing" in capsys.readouterr().err
    assert prepared(config).fingerprint == before


def test_an_item_that_no_bundle_can_hold_is_refused_before_it_is_trained_on(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = config.with_name("items.csv")
    header, *rows = items.read_text().splitlines()
    about = [f"{header},about", *(f"{row},{'x' * 5_000}" for row in rows)]
    items.write_text("\n".join(about))
    assert run(config) == 2
    assert "a value of 'about' has 5,000 characters" in capsys.readouterr().err


LEAK = "ann,a,0,train\nann,b,3,test\nann,c,2,validation\nann,a,4,train\n"
NO_HISTORY = "ann,a,0,train\nann,b,1,train\nbob,b,0,validation\nann,c,2,test\n"


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (LEAK, "interactions.csv: user 'ann', item 'a', data row 4"),
        (NO_HISTORY, "no validation interaction has an earlier interaction of the same user"),
    ],
    ids=["a leak", "nothing to predict from"],
)
def test_an_unusable_split_column_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str], rows: str, problem: str
) -> None:
    config.with_name("interactions.csv").write_text(f"user_id,item_id,position,split\n{rows}")

    assert run(config) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [('source = "tables"', "needs data.interactions"), ('source = "movielens"', "takes no")],
)
def test_paths_that_do_not_fit_the_source_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'name = "odd"\n[data]\n{setting}\nitems = "items.csv"\n')

    assert run(path) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("rows_a_block", [1, 5, 1_000])
def test_repeated_items_are_counted_user_by_user(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, rows_a_block: int
) -> None:
    """Three users: 1 2 1 1, nothing, and 1 2 2."""
    monkeypatch.setattr(prepare, "ROWS_A_BLOCK", rows_a_block)
    repeated = replace(
        tiny_dataset,
        user_ids=("ann", "bob", "cid"),
        item_indices=np.array([1, 2, 1, 1, 1, 2, 2], dtype=np.int32),
        user_offsets=np.array([0, 4, 4, 7]),
        splits=np.array([0, 0, 0, 2, 0, 0, 3], dtype=np.uint8),
    )

    assert prepare.repeated_share(repeated) == 3 / 7
    assert "42.9% of the interactions repeat an item of their user" in prepare.describe(repeated)


def test_a_dataset_without_repeated_items_says_nothing_of_them(tiny_dataset: Dataset) -> None:
    """Without ann's repeat of a."""
    items = np.array([1, 2, 3, 4, 5, 2, 3, 5, 1, 4, 3], dtype=np.int32)
    distinct = replace(tiny_dataset, item_indices=items)

    assert prepare.repeated_share(distinct) == 0
    assert "repeat" not in prepare.describe(distinct)


def test_the_cold_share_is_that_of_examples_with_an_untrained_next_item(
    tiny_dataset: Dataset,
) -> None:
    """Test targets are a (twice in train) and e (never); the validation target d is history."""
    assert prepare.cold_share(tiny_dataset, Split.TEST) == 0.5
    assert prepare.cold_share(tiny_dataset, Split.VALIDATION) == 1.0


@pytest.mark.parametrize(
    ("name", "users", "items", "per_split"),
    [
        ("movielens", 671, 3_496, (72_058, 0, 9_007, 9_007)),
        ("amazon-games", 49_156, 17_332, (299_987, 0, 22_609, 19_733)),
        ("amazon-games-paper", 53_883, 17_864, (304_772, 119_061, 14_980, 14_980)),
    ],
)
def test_the_configs_make_datasets_of_the_known_size(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    users: int,
    items: int,
    per_split: tuple[int, int, int, int],
) -> None:
    monkeypatch.chdir(ROOT)
    experiment = load_experiment(Path(f"configs/{name}.toml"))
    if experiment.data.interactions and not experiment.data.interactions.exists():
        pytest.skip(f"{experiment.data.interactions} is absent")

    dataset = build_dataset(name, experiment.data)

    assert len(dataset.user_ids) == users
    assert dataset.catalog.num_items == items
    assert tuple(np.bincount(dataset.splits, minlength=4)) == per_split
