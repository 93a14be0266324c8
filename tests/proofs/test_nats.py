"""The short form of `python -m proofs nats`: some hundred clicks, and one kill of each process."""

import pytest

from proofs.nats import prove


@pytest.mark.slow
def test_every_published_click_is_in_the_log_once_whatever_is_killed() -> None:
    figures = list(prove(clicks=600, kills=1, clients=4))

    assert len(figures) == 8
    assert [each.name for each in figures if not each.holds] == []
