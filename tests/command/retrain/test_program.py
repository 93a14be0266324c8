"""A retraining publishes what is no worse, says why, and goes on after a kill."""

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distilled_recommender.app import main
from distilled_recommender.retrain import program
from distilled_recommender.retrain.runs import Look, Run, RunTable
from export.contract.addresses.place import LocalPlace, place_of
from export.contract.bundle import load_bundle
from export.contract.bundles_folder import LINK_NAME, BundleLink, publish
from tests.command.retrain.conftest import HOUR, Shop, now_ms
from training import teach
from training.evaluation.intervals import Interval
from training.settings.experiment import Experiment
from training.teacher.llm.shards import Cost
from training.teacher.titles.teach import embed_catalog_by_words
from training.workplace import Workplace


class Killed(BaseException):
    """Ends a run at once, as a signal would."""


def retrain(shop: Shop) -> Run:
    assert main(["retrain", *shop.arguments]) == 0
    return RunTable(shop.work / "retrain").read()[-1]


@pytest.mark.slow
def test_the_first_model_is_published_and_later_ones_if_they_are_no_worse(shop: Shop) -> None:
    first = retrain(shop)

    assert (first.decision, first.reason) == ("published", "there was no active bundle")
    assert (first.since, first.champion) == (None, None)
    assert shop.active == first.bundle is not None

    shop.visit_after(first, 5)
    too_few = retrain(shop)

    assert too_few.decision == "undecided"
    assert too_few.reason.startswith("30 events in the newest slice are too few to say")
    assert (too_few.since, too_few.champion) == (first.until, first.bundle)
    assert too_few.challenger is None

    shop.visit_after(too_few, 20)
    better = retrain(shop)

    assert better.decision == "published", better.reason
    assert better.examples == 25 * 5  # also those of the run that had too few
    assert better.difference is not None
    assert better.low is not None
    assert better.low > -0.1
    assert better.look == 1
    assert better.level == pytest.approx(0.9696, abs=1e-4)
    assert "(look 1 at this champion, 96.96% interval)" in better.reason
    assert shop.active == better.bundle != first.bundle

    shop.write_config(learning_rate=1e-9, max_epochs=1)
    shop.visit_after(better, 30)
    worse = retrain(shop)

    assert worse.decision == "worse"
    assert "worse than the champion" in worse.reason
    assert worse.high is not None
    assert worse.high < 0
    assert shop.active == better.bundle


@pytest.mark.slow
def test_a_run_with_nothing_new_tells_the_contest_before_and_spends_no_look(
    shop: Shop, save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write_config(learning_rate=1e-9, max_epochs=1)
    shop.visit(60, now_ms() - HOUR)
    publish(save_bundle_with(), shop.bundles)
    first = retrain(shop)
    monkeypatch.setattr(program, "relative_gain", _die)  # no contest is held
    again = retrain(shop)

    told = ("decision", "difference", "low", "high", "look", "level", "examples", "challenger")
    assert [getattr(again, name) for name in told] == [getattr(first, name) for name in told]
    assert (again.decision, again.look) == ("worse", 1)
    nothing_new = f"; nothing is new since run {first.id}, so its contest counts"
    assert again.reason == first.reason + nothing_new
    shop.visit_after(again, 1)
    with pytest.raises(Killed):  # a new event makes a new contest
        retrain(shop)


@pytest.mark.slow
def test_a_contest_with_a_champion_without_a_hit_has_no_figures_that_json_lacks(
    shop: Shop, save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write_config(learning_rate=1e-9, max_epochs=1)
    shop.visit(60, now_ms() - HOUR)
    champion = publish(save_bundle_with(), shop.bundles).bundle
    gain = Interval(float("inf"), float("nan"), float("nan"))
    monkeypatch.setattr(program, "relative_gain", lambda *_: gain)
    run = retrain(shop)

    assert run.decision == "published"
    assert shop.active == run.bundle != champion
    assert (run.difference, run.low, run.high, run.look) == (None, None, None, None)


@pytest.mark.slow
def test_a_model_is_published_to_an_address_and_read_from_there_as_the_champion(
    shop: Shop,
) -> None:
    address = f"file://{shop.folder}/store"
    arguments = [address if each == str(shop.bundles) else each for each in shop.arguments]
    assert main(["retrain", *arguments]) == 0
    (run,) = RunTable(shop.work / "retrain").read()
    place = place_of(address)
    assert place.active == run.bundle is not None
    champion = load_bundle(place.folder(run.bundle, shop.folder / "copies"))
    assert champion.manifest.model_version == run.bundle


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["teach", "distill", "export", "publish"])
def test_a_run_that_is_killed_at_a_stage_goes_on_with_the_same_window(
    shop: Shop, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(LocalPlace if stage == "publish" else program, stage, _die)
        with pytest.raises(Killed):
            main(["retrain", *shop.arguments])
    table = RunTable(shop.work / "retrain")
    begun = table.current()
    assert begun is not None
    assert shop.active is None
    shop.visit(5, now_ms(), step_ms=10)  # for the next run

    finished = retrain(shop)

    assert (finished.id, finished.until) == (begun.id, begun.until)
    assert shop.active == finished.bundle
    assert table.current() is None


def _die(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.slow
def test_teacher_tokens_are_told_by_the_run_that_made_the_knowledge_and_no_later_one(
    shop: Shop, save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*arguments: Any) -> tuple[object, Cost]:
        return embed_catalog_by_words(*arguments)[0], Cost(7, 0.0)

    monkeypatch.setattr(teach, "embed_catalog_by_words", read)
    shop.write_config(learning_rate=1e-9, max_epochs=1)
    shop.visit(60, now_ms() - HOUR)
    publish(save_bundle_with(), shop.bundles)
    with monkeypatch.context() as dying:
        dying.setattr(program, "distill", _die)
        with pytest.raises(Killed):
            main(["retrain", *shop.arguments])

    resumed, later = retrain(shop), retrain(shop)

    assert (resumed.decision, later.decision) == ("worse", "worse")
    assert (resumed.teacher_tokens, later.teacher_tokens) == (7, 0)


@pytest.mark.slow
def test_a_run_that_is_killed_after_publishing_is_recorded_with_its_first_decision(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(RunTable, "finish", _die)
        with pytest.raises(Killed):
            main(["retrain", *shop.arguments])
    published = shop.active
    assert published is not None

    finished = retrain(shop)

    assert (finished.champion, finished.bundle) == (None, published)
    assert len(RunTable(shop.work / "retrain").read()) == 1


def test_a_killed_run_whose_champion_was_replaced_ends_and_a_new_window_begins(shop: Shop) -> None:
    table, now = RunTable(shop.work / "retrain"), now_ms()
    table.finish(Run(id="r0", until=now, decision="published", bundle="B"))
    table.keep(Run(id="r1", until=1, champion="A"))
    activate(shop, "B")

    new = retrain(shop)

    ended = table.read()[-2]
    assert (ended.id, ended.decision) == ("r1", "undecided")
    assert "the active bundle has changed from A to B" in ended.reason
    assert (new.champion, new.since) == ("B", now)
    assert table.current() is None


def test_a_challenger_is_not_compared_with_a_champion_that_was_replaced_during_training(
    shop: Shop, save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.visit(60, now_ms() - HOUR)
    champion = publish(save_bundle_with(), shop.bundles).bundle
    monkeypatch.setattr(program, "distill", lambda *_: activate(shop, "B"))

    run = retrain(shop)

    assert (run.champion, run.decision) == (champion, "undecided")
    assert f"the active bundle has changed from {champion} to B" in run.reason


def test_a_challenger_does_not_replace_a_bundle_that_it_was_not_compared_with(
    shop: Shop, save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(_: Experiment, workplace: Workplace, *, refit: bool) -> None:
        assert refit
        shutil.copytree(save_bundle_with(scale=2), workplace.bundle)

    monkeypatch.setattr(program, "export", export)
    table = RunTable(shop.work / "retrain")
    table.keep(Run(id="r1", until=1, champion="A", decision="published", reason="better than A"))
    activate(shop, "B")

    run = retrain(shop)

    assert (run.id, run.decision, run.bundle) == ("r1", "undecided", None)
    assert "the active bundle has changed from A to B" in run.reason
    assert shop.active == "B"


def activate(shop: Shop, bundle: str) -> None:
    (shop.bundles / bundle).mkdir(parents=True)
    BundleLink(shop.bundles / LINK_NAME).move(bundle)


def test_a_second_retraining_at_the_same_time_is_refused(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shop.work / "retrain"
    folder.mkdir(parents=True)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)

    assert main(["retrain", *shop.arguments]) == 2
    assert "another retraining runs; wait for its end" in capsys.readouterr().err
    os.close(lock)


def test_a_table_as_source_is_refused(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.config.write_text(
        'name = "shop"\n[data]\nsource = "tables"\ninteractions = "i.csv"\nitems = "items.csv"\n'
    )

    assert main(["retrain", *shop.arguments]) == 2
    assert "data.source = 'tables': must be 'events'" in capsys.readouterr().err


def test_the_table_keeps_each_run_once_and_knows_the_window_of_a_bundle(shop: Shop) -> None:
    table = RunTable(shop.folder)
    run = Run(id="a", until=5, decision="published", bundle="v1")

    table.finish(run)
    table.finish(run)
    table.finish(replace(run, id="b", until=9, decision="worse", bundle=None))

    assert [each.id for each in table.read()] == ["a", "b"]
    assert table.window_end_of("v1") == 5
    assert table.window_end_of("v2") is None


def test_the_table_counts_a_contest_that_was_told_again_once(shop: Shop) -> None:
    table = RunTable(shop.folder)
    held = Run("a", 5, champion="A", difference=0.1, low=0.0, high=0.2, look=1, stamp="one")

    for each in (held, replace(held, id="b"), replace(held, id="c", look=2, stamp="two")):
        table.finish(each)

    assert table.looks_at("A") == 2
    assert table.look("A", "one") == Look("a", 1, Interval(0.1, 0.0, 0.2))
    assert table.look("A", "three") is None
    assert table.look("B", "one") is None


def test_the_table_counts_the_contests_with_a_champion(shop: Shop) -> None:
    table = RunTable(shop.folder)
    contest = Run(id="a", until=5, champion="A", low=-0.1)
    runs = [contest, replace(contest, low=None), replace(contest, champion="B"), contest]

    for number, run in enumerate(runs):
        table.finish(replace(run, id=str(number)))

    assert [table.looks_at(champion) for champion in "ABC"] == [2, 1, 0]


def test_knowledge_that_would_be_about_an_earlier_dataset_is_refused(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.config.write_text(f'knowledge = "ready"\n{shop.config.read_text()}')

    assert main(["retrain", *shop.arguments]) == 2
    assert "knowledge = 'ready': is about one dataset, and every run" in capsys.readouterr().err
    assert RunTable(shop.work / "retrain").current() is None
