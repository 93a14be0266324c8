from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as program
from benchmarks.measures import added_item, cold_start
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings, load_report
from benchmarks.results.plots import DRAWINGS
from benchmarks.subjects.processes import BenchmarkError
from benchmarks.subjects.subject import random_student, subject_of, synthetic_items
from tests.service.conftest import RING, ring_graph, save_ring_bundle


def test_every_benchmark_can_be_run_and_drawn() -> None:
    assert set(program.NAMES) == set(DRAWINGS)
    for name in program.NAMES:
        assert callable(import_module(f"benchmarks.measures.{name}").measure)


def test_what_cannot_run_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(_: Setting) -> Findings:
        return Findings(
            figures=(Figure(name="p99", unit="ms", runs=(1.5,), at_most=2),), conditions={}
        )

    def refuse(_: Setting) -> Findings:
        raise BenchmarkError("no teacher")

    benchmarks = {"benchmarks.measures.peers": refuse, "benchmarks.measures.cold_start": measure}
    monkeypatch.setattr(
        program, "import_module", lambda name: SimpleNamespace(measure=benchmarks[name])
    )
    code = program.main(["peers", "cold_start", "--quick", "--out", str(tmp_path)])
    told = capsys.readouterr()
    assert code != 0
    assert "error: peers: no teacher" in told.err
    assert "| cold_start | p99 | 1.50 ms |  | ≤ 2.00 | yes |" in told.out
    assert load_report(tmp_path / "cold_start.json").is_quick
    assert (tmp_path / "cold_start.png").stat().st_size > 0


def test_a_quick_look_leaves_out_what_has_no_bar_or_needs_an_llm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names_of(*options: str) -> list[str]:
        run: list[str] = []

        def refuse(_: Setting) -> Findings:
            raise BenchmarkError("not now")

        def benchmark(module: str) -> SimpleNamespace:
            run.append(module.removeprefix("benchmarks.measures."))
            return SimpleNamespace(measure=refuse)

        monkeypatch.setattr(program, "import_module", benchmark)
        program.main([*options, "--out", str(tmp_path)])
        return run

    assert names_of() == list(program.NAMES)
    assert set(program.NAMES) - set(names_of("--quick")) == {
        "breakdown",
        "scale",
        "student_vs_teacher",
    }
    assert names_of("--quick", "scale") == ["scale"]


@pytest.mark.slow
def test_a_cold_start_is_measured_in_earnest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, items = random_student(300), synthetic_items(300)
    small = subject_of(student, items, tmp_path / "bundle", "a test")
    monkeypatch.setattr(cold_start, "make_subject", lambda _: small)
    code = program.main(["cold_start", "--quick", "--out", str(tmp_path)])
    assert code == 0
    by_name = {each.name: each for each in load_report(tmp_path / "cold_start.json").figures}
    assert by_name["process start to ready"].value > 0
    assert 10 < by_name["resident when ready"].value < 1_000


@pytest.mark.slow
def test_how_soon_a_posted_item_is_recommended_is_measured_in_earnest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = save_ring_bundle(tmp_path / "bundle", ring_graph(len(RING)))
    monkeypatch.setattr(added_item, "demo_workplace", lambda _: SimpleNamespace(bundle=bundle))
    code = program.main(["added_item", "--quick", "--out", str(tmp_path)])
    assert code == 0
    here, elsewhere = load_report(tmp_path / "added_item.json").figures
    assert len(here.runs) == len(elsewhere.runs) == 5
    assert 0 < here.value < elsewhere.value
