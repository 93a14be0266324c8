"""Blocks of SASRec, worked out by hand where attention adds nothing or one known vector."""

import math

import pytest
import torch
from torch import nn

from training.settings.student import BlockKind, StudentConfig
from training.students.blocks import BLOCKS, Block, LigrBlock, SwiGLU

CONFIG = StudentConfig(hidden_size=2, num_heads=1, dropout=0, max_history_length=3)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def block_that_adds(kind: BlockKind, attention: list[float], feed_forward: list[float]) -> Block:
    """A block whose attention and feed-forward layer each add a constant vector."""
    block = BLOCKS[kind](CONFIG).eval()
    block.feed_forward = nn.Linear(2, 2)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    block.attention.output.bias.data = torch.tensor(attention)
    block.feed_forward.bias.data = torch.tensor(feed_forward)
    return block


@pytest.mark.parametrize("only_newest", [False, True])
def test_a_pre_norm_block_adds_attention_and_feed_forward_layer(only_newest: bool) -> None:
    block = block_that_adds("pre-norm", [1.0, 2.0], [10.0, 20.0])

    output = block(torch.tensor([[[5.0, 6.0], [7.0, 8.0]]]), None, only_newest=only_newest)

    every = [[[16.0, 28.0], [18.0, 30.0]]]
    assert output.tolist() == ([every[0][-1]] if only_newest else every)


@pytest.mark.parametrize("only_newest", [False, True])
def test_an_original_block_adds_both_to_their_normalised_input(only_newest: bool) -> None:
    """Layer normalisation of two unequal numbers gives -1 and 1, times 3 and 4 here."""
    block = block_that_adds("original", [1.0, 2.0], [10.0, 20.0])
    for norm in (block.attention_norm, block.feed_forward_norm):
        norm.weight.data = torch.tensor([3.0, 4.0])

    output = block(torch.tensor([[[9.0, 6.0], [70.0, 80.0]]]), None, only_newest=only_newest)

    # 70, 80 are -3, 4; with attention -2, 6; those are -3, 4; with the feed-forward layer 7, 24.
    # 9, 6 are 3, -4; with attention 4, -2; those are 3, -4; with the feed-forward layer 13, 16.
    every = [[13.0, 16.0], [7.0, 24.0]]
    found = output[0].tolist()
    if only_newest:
        assert found == pytest.approx(every[-1], abs=1e-4)
    else:
        assert found == [pytest.approx(each, abs=1e-4) for each in every]


@pytest.mark.parametrize("only_newest", [False, True])
def test_a_ligr_block_weighs_both_by_the_sigmoid_of_what_they_are_added_to(
    only_newest: bool,
) -> None:
    block = block_that_adds("ligr", [1.0, 2.0], [10.0, 20.0])
    assert isinstance(block, LigrBlock)
    assert block.attention_gate is not None
    assert block.feed_forward_gate is not None
    block.attention_gate.weight.data = torch.tensor([[0.1, 0.0], [0.0, -0.1]])
    block.feed_forward_gate.bias.data = torch.tensor([0.0, -1.0])

    output = block(torch.tensor([[[0.0, 0.0], [7.0, 8.0]]]), None, only_newest=only_newest)

    newest = [
        7 + 1 * sigmoid(0.7) + 10 * sigmoid(0),
        8 + 2 * sigmoid(-0.8) + 20 * sigmoid(-1),
    ]
    found = output[0] if only_newest else output[0, 1]
    assert found.tolist() == pytest.approx(newest)


def test_swiglu_is_a_switched_linear_layer() -> None:
    layer = SwiGLU(CONFIG).eval()
    layer.switch.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    layer.values.weight.data = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    layer.output.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0]])

    output = layer(torch.tensor([3.0, -1.0]))

    inner = 3 * sigmoid(3) * -1, -1 * sigmoid(-1) * 3
    assert output.tolist() == pytest.approx([inner[0], 2 * inner[1]])
