"""GRU4Rec: gated recurrent layers over the history (Hidasi et al., ICLR 2016).

The recurrent cells have no bias. Instead, the first layer reads one more number beside the item
vector: 1 for an item, 0 for padding. The weights of that number serve as the bias. A zero state
therefore stays zero while padding is read. So padding in front of a history does not change a query
vector.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.settings.student import StudentConfig
from training.students.item_table import ItemTable
from training.students.student import Student

NUM_GATES = 3  # reset gate, update gate and candidate state; each has its rows in the weights


class GRU4Rec(Student):
    """The GRU4Rec student: gated recurrent layers (GRU) over the history, oldest item first."""

    def __init__(self, config: StudentConfig, item_table: ItemTable) -> None:
        super().__init__(config, item_table)
        self.num_layers = config.num_layers
        self.dropout = nn.Dropout(config.dropout)
        size = config.hidden_size
        self.cells = nn.ParameterList(
            _cell_weights(NUM_GATES * size, width)
            for layer in range(config.num_layers)
            for width in (size + 1 if layer == 0 else size, size)  # input weights, state weights
        )
        self.norm = nn.LayerNorm(size)

    def encode(self, histories: Tensor, table: Tensor) -> Tensor:
        """Implements `Student.encode`."""
        items = self.dropout(functional.embedding(histories, table))
        is_item = (histories != 0).to(items.dtype)[..., None]
        queries: Tensor = self.norm(self.dropout(self._states(torch.cat([items, is_item], dim=-1))))
        return queries

    def _states(self, inputs: Tensor) -> Tensor:
        """Runs the recurrent layers; returns the states of the last one, `[batch, length, hidden]`.

        `inputs` is `[batch, length, hidden + 1]`: item vectors, followed by 1 for an item or 0 for
        padding. Calls `torch.gru`, since the ONNX export of an `nn.GRU` gives a warning.
        """
        state = inputs.new_zeros(self.num_layers, inputs.shape[0], inputs.shape[2] - 1)
        states, _ = torch.gru(
            inputs,
            state,
            list(self.cells),
            has_biases=False,
            num_layers=self.num_layers,
            dropout=self.dropout.p,
            train=self.training,
            bidirectional=False,
            batch_first=True,
        )
        return states


def _cell_weights(num_rows: int, num_columns: int) -> nn.Parameter:
    """Creates a weight matrix `[num_rows, num_columns]`, initialised as in `nn.GRU`.

    The weights are uniform between plus and minus the inverse square root of the state size.
    """
    bound = (num_rows // NUM_GATES) ** -0.5
    return nn.Parameter(torch.empty(num_rows, num_columns).uniform_(-bound, bound))
