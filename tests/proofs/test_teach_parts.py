"""A teacher's work in parts, of which one is killed."""

from pathlib import Path

import pytest

from proofs.teach_parts import killed_crew, prove
from tests.training.teacher.conftest import random_llama, saved


@pytest.mark.slow
def test_a_killed_part_loses_at_most_a_shard_and_the_knowledge_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killed_crew, "TAKEOVER_SECONDS", 1.0)
    model = str(saved(random_llama, tmp_path / "llm"))
    figures = list(
        prove(
            processes=2,
            rows=1_000,
            model=model,
            layers=1,
            published_before_kill=0,
            last_apart=False,
        )
    )
    assert {each.name: each.value for each in figures if each.at_most == 0} == {
        "complete shards computed again": 0,
        "shards computed when merging": 0,
        "files that differ from those of one process": 0,
    }
    assert all(each.holds for each in figures)
