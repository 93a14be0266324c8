import torch

from training.settings.student import StudentConfig
from training.students.attention import PENALTY, Attention, padding_penalty

LENGTH = 4


def attention() -> Attention:
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=6, hidden_size=8, num_heads=2, dropout=0)
    return Attention(config).eval()


def test_an_item_changes_outputs_at_its_own_and_later_positions_only() -> None:
    hidden = torch.randn(1, LENGTH, 8)
    changed = hidden.clone()
    changed[0, 2] += 1
    mask = torch.zeros(1, 1, 1, LENGTH)
    differs = (attention()(hidden, mask) != attention()(changed, mask)).any(dim=-1)
    assert differs.tolist() == [[False, False, True, True]]


def test_padding_changes_no_output_of_an_item() -> None:
    hidden = torch.randn(1, LENGTH, 8)
    changed = hidden.clone()
    changed[0, 0] += 1
    mask = padding_penalty(torch.tensor([[0, 3, 5, 3]]))
    torch.testing.assert_close(
        attention()(hidden, mask)[:, 1:], attention()(changed, mask)[:, 1:], rtol=0, atol=0
    )


def test_newest_is_the_last_output_of_forward() -> None:
    hidden, mask = torch.randn(3, LENGTH, 8), torch.zeros(3, 1, 1, LENGTH)
    mask[1, ..., :2] = PENALTY
    every, newest = attention()(hidden, mask), attention().newest(hidden, mask)
    torch.testing.assert_close(newest, every[:, -1])
