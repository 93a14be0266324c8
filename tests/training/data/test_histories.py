import numpy as np
import pytest

from training.data.histories import pad_histories


def test_a_short_history_is_padded_on_the_left() -> None:
    assert pad_histories([np.array([4, 2])], 4).tolist() == [[0, 0, 4, 2]]


def test_a_long_history_keeps_its_newest_items() -> None:
    assert pad_histories([np.array([1, 2, 3, 4, 5])], 3).tolist() == [[3, 4, 5]]


def test_every_history_has_its_own_line() -> None:
    histories = [np.array([1, 2]), np.array([], dtype=np.int32), np.array([7])]

    assert pad_histories(histories, 2).tolist() == [[1, 2], [0, 0], [0, 7]]


def test_padded_histories_are_int64_for_any_integer_type() -> None:
    padded = pad_histories([np.array([1], dtype=np.int32)], 1)

    assert padded.dtype == np.int64


def test_no_histories_give_an_empty_array() -> None:
    assert pad_histories([], 5).shape == (0, 5)


@pytest.mark.parametrize("length", [0, -1])
def test_a_window_of_length_zero_or_less_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"length = {length}"):
        pad_histories([np.array([1])], length)
