"""Memory in use is put on huge pages, with the same content, if the system allows it."""

import mmap
import re
from collections.abc import Iterator
from ctypes import addressof, c_char
from pathlib import Path

import pytest

from service.processes import huge_pages
from service.processes.huge_pages import use_huge_pages

MIB = 1 << 20
SIZE = 32 * MIB


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        yield memory


def kib_of(memory: mmap.mmap, name: str) -> int:
    """The kilobytes of `name` in the mapping that contains `memory`."""
    address = addressof(c_char.from_buffer(memory))
    for block in re.split(r"\n(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text()):
        start, end = (int(each, 16) for each in block.split(" ", 1)[0].split("-"))
        if start <= address < end and (found := re.search(rf"{name}: +(\d+)", block)):
            return int(found[1])
    raise AssertionError


def test_memory_in_use_is_put_on_huge_pages_with_the_same_content(memory: mmap.mmap) -> None:
    memory.write(b"x" * SIZE)
    before = kib_of(memory, "AnonHugePages")
    if use_huge_pages() == 0:
        pytest.skip("this system has no huge pages, or its kernel merges none")
    assert before == 0
    assert kib_of(memory, "AnonHugePages") >= (SIZE - 4 * MIB) >> 10
    assert memory[:] == b"x" * SIZE


def test_memory_that_is_mostly_not_in_use_does_not_grow(memory: mmap.mmap) -> None:
    memory.write(b"x" * MIB)
    before = kib_of(memory, "Rss")
    use_huge_pages()
    assert kib_of(memory, "Rss") == before


def test_nothing_is_done_where_the_system_does_not_tell_what_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huge_pages, "PROCESS", tmp_path)
    assert use_huge_pages() == 0


@pytest.mark.parametrize("enabled", ["always madvise [never]\n", None])
def test_nothing_is_done_where_the_system_forbids_huge_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: str | None
) -> None:
    monkeypatch.setattr(huge_pages, "SYSTEM", tmp_path)
    (tmp_path / "hpage_pmd_size").write_text(f"{2 * MIB}\n")
    if enabled is not None:
        (tmp_path / "enabled").write_text(enabled)
    assert use_huge_pages() == 0
