"""Exports the encoder of a trained RecTools transformer (SASRec, eSASRec) to ONNX.

This program runs in RecTools' environment, which needs the packages `onnx` and `onnxscript` too. It
imports nothing of this project. `export.imports.foreign` starts it:

python rectools_encoder.py model.ckpt OUT

`model.ckpt` is a Lightning checkpoint, as `model.fit_trainer.save_checkpoint` writes it. RecTools
reads it, which can run code that the file contains: use only files that you trust.

The program writes `encoder.onnx`, `vectors.npy`, `items.json` (a list of item ids) and `facts.json`
into the existing folder OUT.

RecTools' SASRec attends to padding unless `use_key_padding_mask` is set, so its output depends on
the amount of padding. The encoder therefore has the constant width `session_max_len`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import rectools
import torch
from rectools.models import SASRecModel
from torch import Tensor, nn
from torch.nn import functional

OPSET = 18


class Encoder(nn.Module):
    """Runs a RecTools model's session encoder on given item vectors in place of its item table.

    Attributes:
        backbone: the trained network.
        padding: `[1, size]`, the network's vector of padding.
    """

    backbone: Any
    padding: Tensor

    def __init__(self, backbone: nn.Module, padding: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("padding", padding)

    def forward(self, window: Tensor, vectors: Tensor) -> Tensor:
        """Computes the query vectors, `[batch, size]`.

        Args:
            window: `[batch, width]`, item indices; padding is 0, on the left.
            vectors: `[batch, width, size]`, the item vectors of the window's items.
        """
        # The network looks vectors up by index. This table has one row per position of the windows.
        table = torch.cat([self.padding, vectors.flatten(0, 1)])
        places = torch.arange(1, window.numel() + 1).view(window.shape)
        places = torch.where(window > 0, places, 0)
        sessions = self.backbone.encode_sessions({"x": places}, table)
        query: Tensor = self.backbone.similarity_module.session_tower_forward(sessions[:, -1])
        return query


def export(checkpoint: Path, out: Path) -> None:
    """Writes a trained RecTools model as files into the existing folder `out`.

    The files are `encoder.onnx` (from a history to a query vector), `vectors.npy` (item vectors),
    `items.json` (item ids) and `facts.json` (program, kind of model and length of the window).

    Raises:
        ValueError: no bundle can rank as the model does. Its similarity is not the dot product, or
            it has tokens besides items and padding, or it changes item vectors before scoring.
    """
    model = SASRecModel.load_from_checkpoint(checkpoint, map_location="cpu")
    backbone = model.torch_model.eval()
    module = backbone.similarity_module
    if getattr(module, "distance", None) != "dot":
        raise ValueError(
            f"similarity {getattr(module, 'distance', type(module).__name__)}: only 'dot' is served"
        )
    if model.data_preparator.n_item_extra_tokens != 1:
        raise ValueError("the model has extra tokens besides padding: only SASRec is served")
    table = backbone.item_model.get_all_embeddings().detach()
    if not torch.equal(table, module.item_tower_forward(table)):
        raise ValueError("the model changes item vectors before scoring: this is not served")
    width = model.data_preparator.session_max_len
    write(Encoder(backbone, table[:1]), width, table.shape[1], out / "encoder.onnx")
    np.save(out / "vectors.npy", table[1:].numpy(), allow_pickle=False)
    item_ids = [str(each) for each in model.data_preparator.get_known_item_ids()]
    (out / "items.json").write_text(json.dumps(item_ids), encoding="utf-8")
    facts = {
        "program": f"rectools {rectools.__version__}",
        "model": "sasrec",
        "max_history_length": width,
    }
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def write(encoder: nn.Module, width: int, size: int, path: Path) -> None:
    """Exports `encoder` to the ONNX file `path`, for any batch size and windows of `width` items.

    `size` is the length of an item vector.
    """
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no form in ONNX
    window = torch.ones(2, width, dtype=torch.int64)
    vectors = functional.normalize(torch.ones(2, width, size), dim=-1)
    batch = torch.export.Dim("batch")
    with torch.no_grad():
        torch.onnx.export(
            encoder.eval(),
            (window, vectors),
            path,
            dynamo=True,
            opset_version=OPSET,
            input_names=["window", "vectors"],
            output_names=["query"],
            dynamic_shapes=({0: batch}, {0: batch}),
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    for node in model.graph.node:  # stack traces, which are larger than the encoder
        del node.metadata_props[:]
    onnx.save(model, path)


def main() -> int:
    """Runs the program with the arguments of the process; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    try:
        export(options.checkpoint, options.out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
