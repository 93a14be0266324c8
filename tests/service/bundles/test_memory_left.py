"""Memory that control groups have left, read from folders like those of the kernel."""

from pathlib import Path

import pytest

from service.bundles.memory_left import bytes_left


@pytest.fixture
def process(tmp_path: Path) -> Path:
    """The file that names the control groups of the process."""
    path = tmp_path / "cgroup"
    path.write_text("0::/pod/service\n")
    return path


def write(folder: Path, limit: str, used: int) -> None:
    """Writes a control group that has 30 bytes of page cache among those in use."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text("anon 70\ninactive_file 10\nactive_file 20\n")


def test_page_cache_counts_as_left(tmp_path: Path, process: Path) -> None:
    write(tmp_path / "pod" / "service", "1000", used=100)
    assert bytes_left(process, tmp_path) == 930


def test_the_group_with_the_least_left_decides(tmp_path: Path, process: Path) -> None:
    write(tmp_path / "pod" / "service", "1000", used=100)
    write(tmp_path / "pod", "1000", used=800)
    write(tmp_path, "max", used=5000)
    assert bytes_left(process, tmp_path) == 230


def test_in_a_container_the_top_is_its_own_group(tmp_path: Path, process: Path) -> None:
    write(tmp_path, "1000", used=100)
    assert bytes_left(process, tmp_path) == 930


def test_groups_of_version_1_have_other_names(tmp_path: Path) -> None:
    process, folder = tmp_path / "cgroup", tmp_path / "memory" / "pod"
    process.write_text("5:cpu,cpuacct:/pod\n4:memory:/pod\n0::/\n")
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("1000\n")
    (folder / "memory.usage_in_bytes").write_text("100\n")
    (folder / "memory.stat").write_text("cache 35\ntotal_inactive_file 10\ntotal_active_file 20\n")
    assert bytes_left(process, tmp_path) == 930


@pytest.mark.parametrize("is_linux", [True, False])
def test_without_a_limit_nothing_is_known(tmp_path: Path, process: Path, *, is_linux: bool) -> None:
    write(tmp_path / "pod" / "service", "max", used=100)
    assert bytes_left(process if is_linux else tmp_path / "missing", tmp_path) is None
