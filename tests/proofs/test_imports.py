from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from proofs.fixtures.agreement import TIE
from proofs.imports import NUM_HISTORIES, Answers, figures, write_data
from training.data.catalog import Catalog
from training.data.row_order import order_by_user

TIME = np.array([2.0, 4.0])
A_TIE = TIE / 2


def answers(items: list[list[str]], scores: list[list[float]]) -> Answers:
    users = [f"h{number}" for number in range(len(items))]
    return Answers(np.array(users), np.array(items), np.array(scores), TIME)


def test_items_in_another_order_agree_only_if_their_scores_are_ties() -> None:
    near = [2.0, 2.0 - A_TIE]
    library = answers([["a", "b"]] * 3, [near, near, [2.0, 1.0]])
    service = answers([["a", "b"], ["b", "a"], ["b", "a"]], [near, near, [2.0, 1.0]])
    found = {each.name: each for each in figures("it", library, service)}

    assert found["it: histories"].value == 3
    assert found["it: ties in another order or at the cut"].value == 1
    # Other items under the same scores are no ties, though no score differs by place.
    assert found["it: top 20 differs but for ties"].value == 1
    assert not found["it: top 20 differs but for ties"].holds
    assert found["it: largest difference of an item's score"].value == 1.0
    assert not found["it: largest difference of an item's score"].holds
    assert found["it: REST, median"].value == 3.0


def test_the_same_lists_hold_and_the_number_of_epochs_is_told() -> None:
    one = answers([["a", "b"]], [[2.0, 1.0]])
    found = list(figures("it", replace(one, epochs=7), one))

    assert [each.name for each in found if not each.holds] == []
    assert found[0].value == 7


def test_answers_to_other_histories_are_not_compared() -> None:
    one = answers([["a", "b"]], [[2.0, 1.0]])
    with pytest.raises(ValueError, match="other histories"):
        list(figures("it", one, replace(one, users=np.array(["another"]))))


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


def test_models_may_be_trained_on_the_last_interactions_and_are_asked_about_known_items(
    tmp_path: Path,
) -> None:
    catalog = Catalog(("a", "b", "c", "d"), ("A", "B", "C", "D"), ({}, {}, {}, {}))
    raw = order_by_user(
        "test", catalog, ["u"] * 4, np.array([1, 2, 3, 4]), positions=np.array([1, 2, 3, 4])
    )
    histories = write_data(raw, tmp_path, last=2)

    assert histories["h0"] == ["b", "c"]
    assert (tmp_path / "training.csv").read_text().split()[1:] == ["u,b,1", "u,c,2"]
