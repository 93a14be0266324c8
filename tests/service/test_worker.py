import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.catalog import Catalog
from service.worker import create_worker


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.anyio
@pytest.mark.usefixtures("thawed")
async def test_a_worker_looks_for_no_garbage_in_what_it_has_loaded(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLE_PATH", str(bundle_path))
    app = create_worker()
    async with app.router.lifespan_context(app):
        catalog = app.state.runtime.models.control.recommender.catalog
        assert isinstance(catalog, Catalog)
        assert not any(each is catalog for each in gc.get_objects())
