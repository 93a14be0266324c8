"""Creates tensors on a device, and tells whether bfloat16 products are fast on a device."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def making_on(device: torch.device) -> AbstractContextManager[Any]:
    """Returns a context in which functions such as `torch.arange` create tensors on `device`."""
    return nullcontext() if device.type == "cpu" else device


def multiplies_halves(device: torch.device) -> bool:
    """Returns whether products in bfloat16, a half-precision format, are fast on `device`.

    On a CPU without hardware support, torch emulates such products, many times slower than float32.
    """
    if device.type != "cpu":
        return True
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
