"""Execution providers of onnxruntime: each that this machine has ranks as the CPU's does."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from pydantic import ValidationError

from distilled_recommender.files import BUNDLE, carried
from export.contract.bundle import BundleError, load_bundle
from service.bundles.checking import BundleChecks, checks_of
from service.bundles.loading import load_recommender
from service.ranking.onnx_session import CPU, GraphFile, open_session
from service.ranking.recommender import Query
from service.ranking.student import Student
from service.settings import Settings

OTHERS = [each for each in ort.get_available_providers() if each not in CPU]


@pytest.mark.parametrize("provider", OTHERS)
def test_another_provider_ranks_as_the_cpu_does(provider: str, tmp_path: Path) -> None:
    settings = Settings(bundle_path=carried(BUNDLE), execution_providers=f"{provider}, {CPU[0]}")
    BundleChecks(100, 120, tmp_path, providers=settings.providers).check(settings.bundle_path)
    expected, found = (
        load_recommender(settings.bundle_path, 100, providers=providers)
        for providers in (CPU, settings.providers)
    )
    history = [item.item_id for item in expected.bundle.items[:3]]
    for query in (Query(history, k=10), Query(history, k=10, exclude=["1"]), Query([], k=5)):
        by_cpu, by_other = expected.recommend(query), found.recommend(query)
        assert by_other.item_ids == by_cpu.item_ids
        scores = [[score for _, score in each.ranking] for each in (by_other, by_cpu)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-4)


@pytest.mark.parametrize("provider", OTHERS)
def test_a_graph_has_no_output_of_the_table_for_another_provider_and_the_table_is_the_same(
    provider: str,
) -> None:
    graph, providers = GraphFile.read(carried(BUNDLE) / "model.onnx"), [provider, *CPU]
    outputs = open_session(graph, ["table"], providers).get_outputs()
    assert [each.name for each in outputs] == ["item_indices", "scores"]
    bundle = load_bundle(carried(BUNDLE))
    by_cpu, by_other = Student.of_bundle(bundle), Student.of_bundle(bundle, providers)
    assert np.array_equal(by_other.table(), by_cpu.table())


def test_an_unknown_provider_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        ValidationError, match=r"'MoonExecutionProvider' is not in .*, which has .*CPU"
    ):
        Settings(execution_providers="MoonExecutionProvider, CPUExecutionProvider")


@pytest.mark.parametrize("provider", OTHERS)
def test_a_provider_that_onnxruntime_cannot_start_is_refused_and_not_replaced_silently(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = GraphFile.read(carried(BUNDLE) / "model.onnx")
    monkeypatch.setattr(ort.InferenceSession, "get_providers", lambda _: [*CPU])
    with pytest.raises(BundleError, match=f"cannot start {provider}; install its driver"):
        open_session(graph, [], [provider, *CPU])


def test_a_bundle_is_checked_with_the_providers_that_serve_it(
    bundle_path: Path, tmp_path: Path
) -> None:
    assert checks_of(Settings()).providers == ["CPUExecutionProvider"]
    BundleChecks(20, 60, tmp_path).check(bundle_path)
    assert BundleChecks(20, 60, tmp_path).has_passed(bundle_path)
    other = BundleChecks(20, 60, tmp_path, providers=["X", "CPUExecutionProvider"])
    assert not other.has_passed(bundle_path)
    with pytest.raises(BundleError, match="X"):
        other.check(bundle_path)
