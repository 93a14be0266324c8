"""An embeddings server is killed while a titles teacher asks it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from proofs import embeddings
from proofs.embeddings import prove
from proofs.embeddings.foreign_titles import FILMS, found_share
from proofs.fixtures.data.tables import write_tables
from training.teacher.endpoint import client

SERVER = Path(__file__).parents[1] / "training" / "teacher" / "embeddings_server.py"


def test_a_killed_server_is_waited_for_and_no_title_is_answered_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "DOWN_SECONDS", 0.5)
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(client, "MAX_PAUSE_SECONDS", 0.2)
    config = write_tables(tmp_path, 20_000, seed=1)
    server = f"{sys.executable} {SERVER} {{port}}"
    figures = list(prove((config,), encoders=("server",), server=server, work=tmp_path / "work"))

    found = {each.name: each.value for each in figures}
    assert all(each.holds for each in figures)
    assert found["titles in another language among them"] == 32
    assert found["large, server: tokens"] == 10 * (found["titles"] - 32)  # those of the catalog


def test_a_title_in_another_language_is_found_if_its_film_is_among_the_nearest() -> None:
    """The films lie on axes; of 32 foreign titles, eight point to the film after theirs."""
    size = len(FILMS) + 30
    catalog = np.eye(size, dtype=np.float32)
    titles = [*(film for film, *_ in FILMS), *(f"other {each}" for each in range(30))]
    right = np.repeat(np.arange(len(FILMS)), 4)
    foreign = catalog[right] + 0.1 * catalog[-1]
    for place in range(0, len(foreign), 4):  # as far from its own film as from all others
        foreign[place] = catalog[-1] - catalog[right[place]]
    embedded = np.concatenate([np.zeros((1, size), dtype=np.float32), catalog])
    assert found_share(foreign, embedded, titles) == 0.75
    assert found_share(foreign, embedded, titles[1:]) is None
