import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from export.contract.bundles_folder import BundleLink
from service.ranking.catalog import Catalog
from service.worker import create_worker, without_garbage_collection


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.anyio
@pytest.mark.usefixtures("thawed")
async def test_loaded_bundles_are_exempt_from_garbage_collection(
    save_bundle_with: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = BundleLink(tmp_path / "bundles" / "active")
    link.path.parent.mkdir()
    for name, scale in {"a": 1, "b": -1}.items():
        save_bundle_with(name=f"bundles/{name}", scale=scale)
    link.move("a")
    monkeypatch.setenv("BUNDLE_PATH", str(link.path))
    app = create_worker()
    async with app.router.lifespan_context(app):
        runtime = app.state.runtime
        first = runtime.variants.control.recommender.catalog
        await runtime.hot_swap.activate(runtime.variants.control.name, "b")
        second = runtime.variants.control.recommender.catalog
        assert isinstance(first, Catalog)
        assert second is not first
        assert not any(each is first or each is second for each in gc.get_objects())
    assert gc.isenabled()


@pytest.mark.usefixtures("thawed")
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this libc has no malloc_trim"
)
def test_memory_freed_while_loading_is_returned_to_the_system() -> None:
    with without_garbage_collection():
        blocks = [bytes(2_000) for _ in range(50_000)]
        most = resident_bytes()
        kept = blocks[-1]  # behind all others, so that the heap's end is in use
        blocks.clear()
    assert resident_bytes() < most - 50_000 * 1_500
    assert len(kept) == 2_000


@pytest.mark.usefixtures("thawed")
def test_a_worker_seldom_searches_new_objects_for_cycles(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLE_PATH", str(bundle_path))
    before = gc.get_threshold()
    try:
        create_worker()
        assert gc.get_threshold() == (50_000, *before[1:])
    finally:
        gc.set_threshold(*before)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
