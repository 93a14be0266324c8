"""The short form of `python -m proofs loop`: some hundred clicks, and one kill of each process."""

import pytest

from proofs.loop import prove


@pytest.mark.slow
@pytest.mark.parametrize("store", ["cluster", "embedded"])
def test_every_click_is_in_the_log_once_whatever_is_killed(store: str) -> None:
    figures = list(prove(clicks=150, kills=1, clients=4, store=(store,)))

    assert len(figures) == 7
    assert [each.name for each in figures if not each.holds] == []
