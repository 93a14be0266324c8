import torch

from training.settings.experiment import StudentConfig
from training.students.sasrec import PENALTY, Attention, padding_penalty

LENGTH = 4


def attention() -> Attention:
    torch.manual_seed(0)
    config = StudentConfig(max_history_length=6, hidden_size=8, num_heads=2, dropout=0)
    return Attention(config).eval()


def test_an_item_is_read_by_those_from_itself_on() -> None:
    hidden = torch.randn(1, LENGTH, 8)
    changed = hidden.clone()
    changed[0, 2] += 1
    unread = torch.zeros(1, 1, 1, LENGTH)
    differs = (attention()(hidden, unread) != attention()(changed, unread)).any(dim=-1)
    assert differs.tolist() == [[False, False, True, True]]


def test_padding_is_read_by_no_item() -> None:
    hidden = torch.randn(1, LENGTH, 8)
    changed = hidden.clone()
    changed[0, 0] += 1
    unread = padding_penalty(torch.tensor([[0, 3, 5, 3]]))
    torch.testing.assert_close(
        attention()(hidden, unread)[:, 1:], attention()(changed, unread)[:, 1:], rtol=0, atol=0
    )


def test_the_newest_alone_is_mixed_as_among_all() -> None:
    hidden, unread = torch.randn(3, LENGTH, 8), torch.zeros(3, 1, 1, LENGTH)
    unread[1, ..., :2] = PENALTY
    every, newest = attention()(hidden, unread), attention().newest(hidden, unread)
    torch.testing.assert_close(newest, every[:, -1])
