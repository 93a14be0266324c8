from pathlib import Path

import pytest

from distilled_recommender.app import main
from export.contract.log import live_figures
from tests.training.event_log import impression, write
from training.events.log_folder import LogFolder


def test_more_figures_than_the_service_reads_are_refused_with_the_setting_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, path = LogFolder(str(tmp_path / "log")), tmp_path / "experiments.json"
    rows = [impression(name, None, 1) | {"model_version": name} for name in "ab"]
    write(log, "impression", rows)
    monkeypatch.setattr(live_figures, "MAX_FIGURES", 1)
    assert main(["experiments", log.address, "--output", str(path)]) == 2
    assert "2 figures, at most 1 are read; count fewer days with --days" in capsys.readouterr().err
    assert not path.exists()
