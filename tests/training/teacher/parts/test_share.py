"""`teach --part`: a teacher's LLM works in several processes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training import teach
from training.knowledge import DESCRIPTION_NAME
from training.teacher.llm import shards
from training.workplace import Workplace, knowledge_folder, open_experiment

Prepared = Callable[[str], Path]


def teach_with(path: Path, *options: str, work: str = "work") -> int:
    return teach.main([str(path), "--work", str(path.parent / work), *options])


def knowledge_files(path: Path, work: str = "work") -> dict[str, bytes]:
    """Returns the files of the knowledge but its description, and the hashes in that."""
    folder = knowledge_folder(*open_experiment(path, path.parent / work))
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    hashes = json.loads(files.pop(DESCRIPTION_NAME))["sha256"]
    assert len(files) >= 4
    return {**files, "hashes": json.dumps(hashes).encode()}


@pytest.fixture
def many_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes shards of one batch, and four batches of any prompts."""
    monkeypatch.setattr(shards, "BATCHES_PER_SHARD", 1)
    monkeypatch.setattr(
        shards,
        "token_bounded",
        lambda lengths, _: np.array_split(lengths.argsort(kind="stable"), 4),
    )


@pytest.mark.usefixtures("many_shards")
@pytest.mark.parametrize("kind", ["titles", "retrieval", "generative", "fusion"])
def test_the_knowledge_of_parts_has_the_bytes_of_one_process(
    kind: str, prepared: Prepared, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = prepared(f'kind = "{kind}"')
    assert teach_with(path) == 0
    alone = knowledge_files(path)
    store = ("--store", str(tmp_path / "store"))
    assert teach_with(path, "--part", "2/2", *store) == 0
    assert "all shards are complete, " in (said := capsys.readouterr().out)
    assert ", 0 by part" not in said
    reading = Workplace(path.parent / "work" / "chain").reading
    reading.rename(tmp_path / "elsewhere")  # what one process had read
    assert teach_with(path, *store, "--again") == 0
    assert knowledge_files(path) == alone
    computed_by = {
        json.loads(ledger.read_bytes())["part"] for ledger in (tmp_path / "store").rglob("*.json")
    }
    assert computed_by == {"2/2"}


def test_a_part_makes_no_knowledge(prepared: Prepared, tmp_path: Path) -> None:
    path = prepared('kind = "titles"')
    assert teach_with(path, "--part", "1/2", "--store", str(tmp_path / "store")) == 0
    assert not knowledge_folder(*open_experiment(path, path.parent / "work")).exists()


@pytest.mark.parametrize("options", [["--part", "1/2"], []])
def test_shards_that_ready_made_knowledge_leaves_unread_are_refused(
    options: list[str], prepared: Prepared, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = prepared('kind = "titles"')
    assert teach_with(path) == 0
    made = knowledge_folder(*open_experiment(path, path.parent / "work"))
    path.write_text(f'knowledge = "{made}"\n{path.read_text()}')

    assert teach_with(path, *options, "--store", str(tmp_path / "store")) == 2

    assert "is ready-made, so nobody would read the shards" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    assert teach_with(path, "--part", "1/2", "--store", str(tmp_path / "store"), "--again") == 0


@pytest.mark.parametrize(
    ("settings", "options", "problem"),
    [
        ('kind = "titles"', ["--part", "1/2"], "--part 1/2: needs --store"),
        ('kind = "titles"', ["--part", "3/2", "--store", "x"], "--part 3/2: expected i/n"),
        ('kind = "titles"', ["--store", "x", "--reuse"], "--store: cannot be used with --reuse"),
        ('kind = "tf-idf"', ["--part", "1/2", "--store", "x"], "'tf-idf': has no LLM"),
        (
            'kind = "retrieval"\n        tuning = "full"',
            ["--part", "1/2", "--store", "x"],
            "no tuned LLM",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(
    settings: str,
    options: list[str],
    problem: str,
    prepared: Prepared,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert teach_with(prepared(settings), *options) == 2
    assert problem in capsys.readouterr().err
