from pathlib import Path

import pytest

import export
from benchmarks.subjects.subject import export_subject, random_student, synthetic_items
from tests.exported_once import exported_once

__all__ = ["exported_once"]  # a fixture for all tests below


@pytest.mark.slow
def test_a_bundle_is_exported_again_only_where_the_exporter_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "export" / "graphs" / "ranking_graph.py"
    source.parent.mkdir(parents=True)
    source.write_text("one = 1\n")
    monkeypatch.setattr(export, "__path__", [str(tmp_path / "export")])
    manifest = tmp_path / "bundle" / "manifest.json"
    student, items = random_student(30), synthetic_items(30)

    def exported_at() -> int:
        export_subject(student, items, tmp_path / "bundle", "a test")
        return manifest.stat().st_mtime_ns

    first = exported_at()
    assert exported_at() == first
    source.write_text("one = 2\n")
    assert exported_at() > first
