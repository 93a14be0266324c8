"""Which device tensors are made on."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def making_on(device: torch.device) -> AbstractContextManager[Any]:
    """Within, `torch.arange` and its like make tensors on `device`; on a CPU they do anyway."""
    return nullcontext() if device.type == "cpu" else device
