import os
from pathlib import Path

import pytest

from training.compute import processes
from training.compute.processes import usable_cores


@pytest.mark.parametrize(
    ("quota", "cores"), [("100000 100000", 1), ("max 100000", 8), ("300000 100000", 3), ("", 8)]
)
def test_usable_cores_respect_the_cpu_quota_of_a_container(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(processes, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    assert usable_cores() == cores


def test_a_machine_without_affinities_has_as_many_usable_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "CPU_QUOTA", tmp_path / "no such file")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert usable_cores() == os.cpu_count()
