import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from benchmarks import measures
from benchmarks.options import ROOT
from benchmarks.registry import benchmark_names, load_benchmark
from benchmarks.results.figures import Findings, load_report
from benchmarks.results.plots import draw_bars, save_plot

OUT = ROOT / "benchmarks" / "out"
NEW = """
from benchmarks.results.figures import Figure, Findings

def measure(options):
    return Findings(figures=(Figure(name="p99", unit="ms", runs=(1.0,)),), conditions={})
"""


def test_every_benchmark_has_a_report_and_can_be_run_and_drawn(tmp_path: Path) -> None:
    assert benchmark_names() == sorted(path.stem for path in OUT.glob("*.json"))
    assert benchmark_names()
    for name in benchmark_names():
        benchmark = load_benchmark(name)
        assert callable(benchmark.measure)
        report = load_report(OUT / f"{name}.json")
        assert save_plot(report, benchmark.draw, tmp_path).stat().st_size > 0
        benchmark.draw(axes := Canvas().add_subplot(), report)
        of_target = [each for each in axes.lines if np.size(each.get_xdata()) == 2]
        assert len(axes.lines) + len(axes.patches) > len(of_target), f"{name}: shows no figure"


def test_a_new_file_in_measures_is_a_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brand_new.py").write_text(NEW)
    monkeypatch.setattr(measures, "__path__", [*measures.__path__, str(tmp_path)])
    assert "brand_new" in benchmark_names()
    new = load_benchmark("brand_new")
    assert (new.draw, new.in_quick_run) == (draw_bars, True)
    assert isinstance(new.measure(None), Findings)  # type: ignore[arg-type] # it takes no option


def test_the_benchmark_of_a_running_stack_needs_only_numpy() -> None:
    absent = ["psutil", "torch", "matplotlib", "training", "service", "export"]
    code = f"import sys, benchmarks.load.stack; print(*sys.modules.keys() & {absent})"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert printed.strip() == ""
