import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmarks.rivals.kept_models import NOTE, Facts, facts_of, hash_of, train_once

FACTS = {"library": "rectools 0.19.0", "settings": {"epochs": 3}, "data": "abc"}


@pytest.fixture
def train(tmp_path: Path) -> Callable[[Facts], int]:
    """Asks for a model with the given facts; returns how many were trained so far."""
    trained: list[Facts] = []

    def once(facts: Facts) -> int:
        def write(out: Path) -> None:
            trained.append(facts)
            out.write_text(f"model {len(trained)}")

        train_once(tmp_path / "model.ckpt", facts, write)
        assert (tmp_path / "model.ckpt").read_text() == f"model {len(trained)}"
        return len(trained)

    return once


def test_a_model_is_trained_once_for_the_same_facts(
    train: Callable[[Facts], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(FACTS) == 1
    assert train(dict(reversed(FACTS.items()))) == 1
    assert capsys.readouterr().err == ""
    noted = json.loads((tmp_path / NOTE).read_text())
    assert {name: noted[name] for name in FACTS} == FACTS


def test_the_facts_of_a_model_have_library_settings_and_data(tmp_path: Path) -> None:
    training = tmp_path / "training.csv"
    training.write_text("user_id,item_id\n")
    facts = facts_of("numpy", "SASRec", {"epochs": 3}, training)
    assert facts["library"] == f"numpy {version('numpy')}, torch {version('torch')}"
    assert (facts["model"], facts["settings"]) == ("SASRec", {"epochs": 3})
    assert facts["data"] == hash_of(training)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"library": "rectools 0.20.0"}, "library is 'rectools 0.20.0', was 'rectools 0.19.0'"),
        ({"settings": {"epochs": 5}}, "settings is {'epochs': 5}, was {'epochs': 3}"),
        ({"data": "xyz"}, "data is 'xyz', was 'abc'"),
    ],
)
def test_a_model_of_another_library_other_settings_or_data_is_trained_anew_and_it_is_told(
    change: Facts,
    told: str,
    train: Callable[[Facts], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(FACTS)

    assert train({**FACTS, **change}) == 2
    assert f"model.ckpt: trained anew: {told}" in capsys.readouterr().err
    assert train({**FACTS, **change}) == 2


def test_a_model_without_its_note_is_trained_anew(
    train: Callable[[Facts], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(FACTS)
    (tmp_path / NOTE).unlink()

    assert train(FACTS) == 2
    assert "trained anew: trained.json is missing" in capsys.readouterr().err


def test_a_model_that_was_replaced_is_trained_anew(
    train: Callable[[Facts], int], tmp_path: Path
) -> None:
    train(FACTS)
    (tmp_path / "model.ckpt").write_text("another model")

    assert train(FACTS) == 2


def test_a_model_whose_training_failed_is_not_kept(
    train: Callable[[Facts], int], tmp_path: Path
) -> None:
    def fail(_: Path) -> None:
        raise KeyboardInterrupt

    train(FACTS)
    with pytest.raises(KeyboardInterrupt):
        train_once(tmp_path / "model.ckpt", {**FACTS, "data": "xyz"}, fail)
    assert train(FACTS) == 2
