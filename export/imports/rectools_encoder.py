"""Exports the encoder of a trained RecTools transformer (SASRec, eSASRec, BERT4Rec) to ONNX.

This program runs in RecTools' environment, which needs the packages `onnx` and `onnxscript` too. It
imports nothing of this project. `export.imports.foreign` starts it:

python rectools_encoder.py model.ckpt OUT

`model.ckpt` is a Lightning checkpoint, as `model.fit_trainer.save_checkpoint` writes it. RecTools
reads it, which can run code that the file contains: use only files that you trust.

The program writes `encoder.onnx`, `vectors.npy`, `items.json` (a list of item ids) and `facts.json`
into the existing folder OUT.

The encoder reads up to `session_max_len` items, or one fewer for BERT4Rec, which reads its mask
token after the last item. The mask is no item: its vector is a constant of the encoder, and not
among the item vectors. A model attends to padding unless `use_key_padding_mask` is set, as it is by
default in BERT4Rec but not in SASRec. Otherwise its output depends on the amount of padding, and
the encoder has a constant width.
"""

import argparse
import json
import sys
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import rectools
import torch
from rectools.models import BERT4RecModel, SASRecModel
from rectools.models.nn.transformers.net_blocks import LearnableInversePositionalEncoding
from torch import Tensor, nn
from torch.nn import functional

OPSET = 18
MODELS = {"SASRecModel": SASRecModel, "BERT4RecModel": BERT4RecModel}
# Tokens of a model's table before its items. Histories end with the mask if there is one.
TOKENS = (["PAD"], ["PAD", "MASK"])
MASK = 1  # row of the table
TOLERANCE = 1e-4  # between the encoder's query vectors and RecTools' own


class Encoder(nn.Module):
    """Runs a RecTools model's session encoder on given item vectors in place of its item table.

    Attributes:
        backbone: the trained network, with masks that ONNX has a form for.
        tokens: `[1 or 2, size]`, the network's vectors of padding and, if it has one, of the mask.
    """

    backbone: Any
    tokens: Tensor

    def __init__(self, backbone: Any, tokens: Tensor) -> None:
        super().__init__()
        self.backbone = copy(backbone)
        vars(self.backbone)["_merge_masks"] = partial(merge_masks, backbone.n_heads)
        self.register_buffer("tokens", tokens)

    def forward(self, window: Tensor, vectors: Tensor) -> Tensor:
        """Computes the query vectors, `[batch, size]`.

        Args:
            window: `[batch, width]`, item indices; padding is 0, on the left.
            vectors: `[batch, width, size]`, the item vectors of the window's items.
        """
        # The network looks vectors up by index. This table has one row per position of the windows.
        table = torch.cat([self.tokens, vectors.flatten(0, 1)])
        places = torch.arange(window.numel()).view(window.shape) + len(self.tokens)
        places = torch.where(window > 0, places, 0)
        if len(self.tokens) > MASK:
            places = functional.pad(places, (0, 1), value=MASK)
        return query_of(self.backbone, places, table)


def merge_masks(num_heads: int, future: Tensor, padding: Tensor, _: Tensor) -> Tensor:
    """Merges two masks of attention, as RecTools' `_merge_masks` does.

    RecTools' function changes a view in place. This function avoids it, since ONNX has no form for
    it.

    Args:
        num_heads: number of heads of the attention.
        future: `[width, width]`, what no place may read, since it comes later.
        padding: `[batch, width]`, what no place may read but padding itself.

    Returns:
        `[batch * num_heads, width, width]`: 0 where a place may read, and -inf elsewhere.
    """
    itself = torch.eye(padding.shape[1], dtype=torch.bool)
    hidden = (future | padding[:, None]) & ~itself
    return torch.where(hidden, -torch.inf, 0.0).repeat_interleave(num_heads, dim=0)


def query_of(backbone: Any, places: Tensor, table: Tensor) -> Tensor:
    """Computes RecTools' query vectors, `[batch, size]`, after the rows `places` of `table`."""
    sessions = backbone.encode_sessions({"x": places}, table)
    query: Tensor = backbone.similarity_module.session_tower_forward(sessions[:, -1])
    return query


def export(checkpoint: Path, out: Path) -> None:
    """Writes a trained RecTools model as files into the existing folder `out`.

    The files are `encoder.onnx` (from a history to a query vector), `vectors.npy` (item vectors),
    `items.json` (item ids) and `facts.json` (program, kind of model and length of the window).

    Raises:
        ValueError: no bundle can rank as the model does.
    """
    kind, model = load(checkpoint)
    backbone, preparator = model.torch_model.eval(), model.data_preparator
    table = backbone.item_model.get_all_embeddings().detach()
    refuse_scoring(backbone.similarity_module, table)
    num_tokens = preparator.n_item_extra_tokens
    tokens, vectors = table[:num_tokens], table[num_tokens:]
    width = preparator.session_max_len - (num_tokens - 1)
    encoder, is_free = Encoder(backbone, tokens).eval(), ignores_padding(backbone)
    refuse_other_queries(encoder, model, width, is_free=is_free)
    write(encoder, width, table.shape[1], out / "encoder.onnx", is_free=is_free)
    np.save(out / "vectors.npy", vectors.numpy(), allow_pickle=False)
    item_ids = [str(each) for each in preparator.get_known_item_ids()]
    (out / "items.json").write_text(json.dumps(item_ids), encoding="utf-8")
    facts = {
        "program": f"rectools {rectools.__version__}",
        "model": kind.removesuffix("Model").lower(),
        "max_history_length": width,
    }
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def load(checkpoint: Path) -> tuple[str, Any]:
    """Returns the name of the checkpoint's class of models, one of `MODELS`, and the model.

    Raises:
        ValueError: the model is of another class, or has tokens other than `TOKENS`.
    """
    kind, model = load_any(checkpoint)
    tokens = list(model.data_preparator.item_extra_tokens)
    if tokens not in TOKENS:
        raise ValueError(f"the model has the tokens {tokens}: only 'PAD' and 'MASK' are served")
    return kind, model


def load_any(checkpoint: Path) -> tuple[str, Any]:
    """Returns what `load` does, for any tokens. A class loads its own checkpoints alone.

    Raises:
        ValueError: the model is of another class.
    """
    reason = ""
    for kind, of_kind in MODELS.items():
        try:
            return kind, of_kind.load_from_checkpoint(checkpoint, map_location="cpu")
        except (TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
    raise ValueError(f"only {' and '.join(MODELS)} are served: {reason}")


def refuse_scoring(similarity: Any, table: Tensor) -> None:
    """Refuses a model whose scores are no dot products of query vectors and rows of `table`.

    Raises:
        ValueError: its similarity is not the dot product, or it changes item vectors before it.
    """
    distance = getattr(similarity, "distance", type(similarity).__name__)
    if distance != "dot":
        raise ValueError(f"similarity {distance}: only 'dot' is served")
    if not torch.equal(table, similarity.item_tower_forward(table)):
        raise ValueError("the model changes item vectors before scoring: this is not served")


def ignores_padding(backbone: Any) -> bool:
    """Whether padding on the left of a history never changes its query vector."""
    positions = type(backbone.pos_encoding_layer)  # counts them from the end
    return backbone.use_key_padding_mask and positions is LearnableInversePositionalEncoding


def refuse_other_queries(encoder: Encoder, model: Any, width: int, *, is_free: bool) -> None:
    """Refuses a `model` that reads histories otherwise than `encoder` does.

    It may add tokens or time, for example. RecTools prepares and reads a few histories, shorter and
    longer than `width` items. The encoder reads them without padding if its width `is_free`.

    Raises:
        ValueError: a query vector differs from RecTools' own.
    """
    table = model.torch_model.item_model.get_all_embeddings().detach()
    first = len(encoder.tokens)
    for length in (1, 2, width, width + 2):
        rows = first + torch.arange(length) % (len(table) - first)
        batch = model.data_preparator._collate_fn_recommend([(rows.tolist(), [1.0] * length, {})])
        newest = rows[-width:]
        padding = 0 if is_free else width - len(newest)
        window = functional.pad(newest - first + 1, (padding, 0))[None]
        vectors = functional.pad(table[newest], (0, 0, padding, 0))[None]
        with torch.no_grad():
            theirs = query_of(model.torch_model, batch["x"], table)
            gap = encoder(window, vectors) - theirs
        if not gap.abs().max() <= TOLERANCE:
            raise ValueError(f"the model reads {length} items otherwise than SASRec or BERT4Rec do")


def write(encoder: nn.Module, width: int, size: int, path: Path, *, is_free: bool) -> None:
    """Exports `encoder` to the ONNX file `path`, for any batch size.

    Windows have `width` items, or up to as many if their width `is_free`. `size` is the length of
    an item vector.
    """
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no form in ONNX
    window = torch.ones(2, width, dtype=torch.int64)
    vectors = functional.normalize(torch.ones(2, width, size), dim=-1)
    free = {0: torch.export.Dim("batch")} | ({1: torch.export.Dim("width")} if is_free else {})
    with torch.no_grad():
        torch.onnx.export(
            encoder.eval(),
            (window, vectors),
            path,
            dynamo=True,
            opset_version=OPSET,
            input_names=["window", "vectors"],
            output_names=["query"],
            dynamic_shapes=(free, free),
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
