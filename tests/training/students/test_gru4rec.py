import math

import pytest
import torch

from training.settings.student import StudentConfig
from training.students.gru4rec import GRU4Rec
from training.students.item_table import ItemTable


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_a_state_follows_the_gru_equations() -> None:
    config = StudentConfig(kind="gru4rec", hidden_size=2, num_layers=1, num_heads=1)
    student = GRU4Rec(config, ItemTable(3, 2)).eval()
    of_inputs, of_states = list(student.cells)
    # Only the second number of the state is not zero; its gates are rows 1, 3 and 5.
    with torch.no_grad():
        of_inputs.zero_()
        of_states.zero_()
        of_inputs[1], of_inputs[3], of_inputs[5] = torch.tensor(
            [[0.5, 0.0, 0.1], [0.0, 0.4, -0.2], [1.0, -1.0, 0.3]]
        )
        of_states[[1, 3, 5], 1] = torch.tensor([0.7, -0.6, 0.9])
    inputs = torch.tensor([[[2.0, 1.0, 1.0], [-1.0, 3.0, 1.0]]])

    states = student._states(inputs)[0, :, 1].tolist()

    state = 0.0
    for first, second, expected in [(2.0, 1.0, states[0]), (-1.0, 3.0, states[1])]:
        reset = sigmoid(0.5 * first + 0.1 + 0.7 * state)
        update = sigmoid(0.4 * second - 0.2 - 0.6 * state)
        candidate = math.tanh(first - second + 0.3 + reset * 0.9 * state)
        state = (1 - update) * candidate + update * state
        assert expected == pytest.approx(state)
