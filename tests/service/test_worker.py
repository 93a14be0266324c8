import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from export.publish import BundleLink
from service.catalog import Catalog
from service.worker import create_worker


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.anyio
@pytest.mark.usefixtures("thawed")
async def test_a_worker_looks_for_no_garbage_in_any_bundle_that_it_has_loaded(
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
        first = runtime.models.control.recommender.catalog
        await runtime.activation.activate(runtime.models.control.variant, "b")
        second = runtime.models.control.recommender.catalog
        assert isinstance(first, Catalog)
        assert second is not first
        assert not any(each is first or each is second for each in gc.get_objects())
    assert gc.isenabled()
