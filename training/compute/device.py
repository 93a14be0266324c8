"""Which device tensors are made on, and what it multiplies."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def making_on(device: torch.device) -> AbstractContextManager[Any]:
    """Within, `torch.arange` and its like make tensors on `device`; on a CPU they do anyway."""
    return nullcontext() if device.type == "cpu" else device


def multiplies_halves(device: torch.device) -> bool:
    """Whether `device` has products in bfloat16, and torch knows how to use them.

    Where a processor has none, torch works them out many times slower than those in float32.
    """
    if device.type != "cpu":
        return True
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
