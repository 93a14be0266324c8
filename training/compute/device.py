"""The device that tensors are created on, and whether it multiplies in bfloat16."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def making_on(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which `torch.arange` and the like create tensors on `device`."""
    return nullcontext() if device.type == "cpu" else device


def multiplies_halves(device: torch.device) -> bool:
    """Whether `device` multiplies in bfloat16 and torch supports it.

    Without hardware support torch emulates it, many times slower than float32.
    """
    if device.type != "cpu":
        return True
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
