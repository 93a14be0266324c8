import math

import torch

from training.teacher.generative.grounding import Grounding


def test_a_text_is_as_far_from_a_title_as_their_standardised_embeddings_are() -> None:
    titles = torch.tensor([[9.0, 9.0], [0.0, 10.0], [2.0, 30.0], [4.0, 50.0]])  # row 0 is padding
    # columns: mean 2 and 30, sample deviation 2 and 20, so titles are (-1, -1), (0, 0), (1, 1)
    text = torch.tensor([[2.0, 50.0]])  # (0, 1)
    distances = Grounding(titles).distances(text)[0, 1:]
    expected = torch.tensor([math.sqrt(5 / 2), math.sqrt(1 / 2), math.sqrt(1 / 2)])
    torch.testing.assert_close(distances, expected)


def test_items_of_one_title_are_equally_far() -> None:
    torch.manual_seed(0)
    titles = torch.randn(6, 4)
    titles[5] = titles[2]
    distances = Grounding(titles).distances(torch.randn(3, 4))
    torch.testing.assert_close(distances[:, 5], distances[:, 2])
