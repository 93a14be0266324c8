from collections.abc import Iterator

import pytest

from training.data import large_arrays


@pytest.fixture(scope="module", params=[1 << 21, 2], ids=["one block", "blocks of two rows"])
def each_block_size(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs a module's tests with all rows in one block, and with two rows a block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_arrays, "ROWS_A_BLOCK", request.param)
        yield
