from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from httpx import HTTPError
from redis import RedisError

from benchmarks import __main__ as program
from benchmarks.errors import BenchmarkError
from benchmarks.measures import added_item, cold_start
from benchmarks.options import Options
from benchmarks.registry import Benchmark, benchmark_names, load_benchmark
from benchmarks.results.figures import Figure, Findings, load_report
from benchmarks.subjects.processes import RunningProgram, running_service
from benchmarks.subjects.subject import export_subject, random_student, synthetic_items
from distilled_recommender.commands import COMMANDS
from export.contract.bundle import BundleError
from tests.service.conftest import RING, ring_graph, save_ring_bundle
from training.cli import USER_ERROR


def test_a_benchmark_that_cannot_run_is_reported_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(_: Options) -> Findings:
        return Findings(
            figures=(Figure(name="p99", unit="ms", runs=(1.5,), at_most=2),), conditions={}
        )

    def fail(_: Options) -> Findings:
        raise BenchmarkError("no teacher")

    benchmarks = {"peers": Benchmark(fail), "cold_start": Benchmark(measure)}
    monkeypatch.setattr(program, "load_benchmark", benchmarks.__getitem__)
    code = program.main(["peers", "cold_start", "--quick", "--out", str(tmp_path)])
    printed = capsys.readouterr()
    assert code != 0
    assert "error: peers: no teacher" in printed.err
    assert "| cold_start | p99 | 1.50 ms |  | ≤ 2.00 | yes |" in printed.out
    assert load_report(tmp_path / "cold_start.json").is_quick
    assert (tmp_path / "cold_start.png").stat().st_size > 0


def test_a_report_names_the_commit_at_which_its_measurement_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = ["before"]
    at_first = cache(lambda: heads[-1])  # as `training.provenance.commit` keeps its first result

    def measure(_: Options) -> Findings:
        heads.append("committed meanwhile")
        return Findings(figures=(Figure(name="p99", unit="ms", runs=(1.5,)),), conditions={})

    monkeypatch.setattr(program, "commit", at_first)
    monkeypatch.setattr("benchmarks.results.figures.commit", at_first)
    monkeypatch.setattr(program, "load_benchmark", lambda _: Benchmark(measure))
    assert program.main(["cold_start", "--quick", "--out", str(tmp_path)]) == 0
    assert load_report(tmp_path / "cold_start.json").commit == "before"


@pytest.mark.parametrize(
    "error",
    [BundleError("damaged"), HTTPError("damaged"), RedisError("damaged"), OSError("damaged")],
)
def test_a_damaged_bundle_or_a_lost_server_ends_one_benchmark_alone(
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: Options) -> Findings:
        raise error

    monkeypatch.setattr(program, "load_benchmark", lambda _: Benchmark(fail))
    assert program.main(["peers", "graph", "--out", str(tmp_path)]) == USER_ERROR
    printed = capsys.readouterr().err
    assert "error: peers: damaged" in printed
    assert "error: graph: damaged" in printed


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(_: Options) -> Findings:
        raise AssertionError("measured in vain")

    monkeypatch.setattr(program, "load_benchmark", lambda _: Benchmark(measure))
    (tmp_path / "a file").write_text("")
    assert program.main(["graph", "--out", str(tmp_path / "a file")]) == USER_ERROR
    assert "a file: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("price", ["nan", "inf", "-1"])
def test_a_price_of_a_core_that_is_no_price_is_refused(
    price: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = Findings(figures=(), conditions={})
    monkeypatch.setattr(program, "load_benchmark", lambda _: Benchmark(lambda _: findings))
    assert program.main(["graph", "--out", str(tmp_path), "--core-hour", price]) == USER_ERROR
    assert "--core-hour" in capsys.readouterr().err


def test_a_quick_run_leaves_out_benchmarks_that_have_no_bar_or_need_an_llm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names_of(*arguments: str) -> list[str]:
        run: list[str] = []

        def load(name: str) -> Benchmark:
            def fail(_: Options) -> Findings:
                run.append(name)
                raise BenchmarkError("not now")

            return replace(load_benchmark(name), measure=fail)

        monkeypatch.setattr(program, "load_benchmark", load)
        program.main([*arguments, "--out", str(tmp_path)])
        return run

    assert names_of() == benchmark_names()
    assert set(benchmark_names()) - set(names_of("--quick")) == {
        "breakdown",
        "gains",
        "scale",
        "student_vs_teacher",
    }
    assert names_of("--quick", "scale") == ["scale"]


def test_the_console_command_runs_the_same_program() -> None:
    (bench,) = (each for each in COMMANDS if each.name == "bench")
    assert bench.path == f"{program.__name__}:{program.command.__name__}"
    assert bench.help == program.command.__doc__


def test_an_unknown_benchmark_is_refused_with_the_names_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert program.main(["no_such_benchmark"]) == USER_ERROR
    error = capsys.readouterr().err
    assert "no_such_benchmark" in error
    assert all(name in error for name in benchmark_names())


@pytest.mark.slow
def test_the_first_start_of_a_bundle_checks_it_and_later_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, items = random_student(300), synthetic_items(300)
    small = export_subject(student, items, tmp_path / "bundle", "a test")
    passed: list[int] = []

    def start(*arguments: Any, **settings: Any) -> AbstractContextManager[RunningProgram]:
        passed.append(len([*Path(settings["TMPDIR"]).glob("*-checked-bundles/*")]))
        return running_service(*arguments, **settings)

    monkeypatch.setattr(cold_start, "make_subject", lambda _: small)
    monkeypatch.setattr(cold_start, "running_service", start)
    code = program.main(["cold_start", "--quick", "--out", str(tmp_path)])
    assert code == 0
    assert passed == [0, 1, 0, 1]
    by_name = {each.name: each for each in load_report(tmp_path / "cold_start.json").figures}
    assert by_name["process start to ready, bundle checked before"].value > 0
    assert by_name["first start of a bundle to ready"].value > 0
    assert 10 < by_name["resident when ready"].value < 1_000


@pytest.mark.slow
def test_the_wait_for_an_added_item_is_measured_on_two_real_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = save_ring_bundle(tmp_path / "bundle", ring_graph(len(RING)))
    monkeypatch.setattr(added_item, "demo_workplace", lambda _: SimpleNamespace(bundle=bundle))
    code = program.main(["added_item", "--quick", "--out", str(tmp_path)])
    assert code == 0
    here, elsewhere = load_report(tmp_path / "added_item.json").figures
    assert len(here.runs) == len(elsewhere.runs) == 5
    assert 0 < here.value < elsewhere.value
