"""Plots of reports as files."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure as Canvas

from benchmarks.options import ROOT
from benchmarks.results.figures import load_report
from benchmarks.results.plots import draw_bars, save_plot


def test_a_full_disk_leaves_the_plot_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = load_report(ROOT / "benchmarks" / "out" / "cold_start.json")
    path = save_plot(report, draw_bars, tmp_path)
    before = path.read_bytes()

    def fill_the_disk(_: Canvas, out: Any, **__: Any) -> None:
        with out.open("wb") if isinstance(out, Path) else out as file:
            file.write(b"half of a pict")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Canvas, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        save_plot(report, draw_bars, tmp_path)
    assert path.read_bytes() == before
