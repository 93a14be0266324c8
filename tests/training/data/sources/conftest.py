from pathlib import Path

import pytest

ITEMS = "item_id,title,genre\n007,Skyfall,Action|Spy\n8,Up,\n"
INTERACTIONS = "user_id,item_id,timestamp\n01,007,20\n01,8,10\n"


@pytest.fixture
def interactions(tmp_path: Path) -> Path:
    path = tmp_path / "interactions.csv"
    path.write_text(INTERACTIONS, encoding="utf-8")
    return path


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.csv"
    path.write_text(ITEMS, encoding="utf-8")
    return path
