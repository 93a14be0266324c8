from pathlib import Path

import numpy as np

from proofs.imports import NUM_HISTORIES, Answers, figures, write_data
from training.data.catalog import Catalog
from training.data.row_order import order_by_user

TIME = np.array([2.0, 4.0])


def answers(items: list[list[str]], scores: list[list[float]]) -> Answers:
    return Answers(np.array(items), np.array(scores), TIME)


def test_two_items_in_another_order_are_a_tie_only_within_the_tolerance() -> None:
    library = answers([["a", "b"], ["a", "b"], ["a", "b"]], [[2, 1]] * 3)
    service = answers([["a", "b"], ["b", "a"], ["b", "a"]], [[2, 1], [2 + 5e-6, 1], [2 + 5e-5, 1]])
    found = {each.name: each.value for each in figures("it", library, service)}

    assert found["it: histories"] == 3
    assert found["it: top 20 differs but for ties"] == 1
    assert found["it: ties in another order"] == 2
    assert found["it: REST, median"] == 3.0


def test_the_last_interaction_of_a_user_is_neither_trained_nor_asked(tmp_path: Path) -> None:
    catalog = Catalog(("a", "b", "c"), ("A", "B", "C"), ({}, {}, {}))
    raw = order_by_user(
        "test", catalog, ["u"] * 3, np.array([1, 2, 3]), positions=np.array([1, 2, 3])
    )
    histories = write_data(raw, tmp_path)

    assert NUM_HISTORIES == 1_000
    assert histories == {"h0": ["a", "b"], "h1": ["a"]}
    assert (tmp_path / "training.csv").read_text().split() == [
        *("user_id,item_id,position", "u,a,0", "u,b,1")
    ]
