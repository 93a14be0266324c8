"""A saved bundle of two items."""

from pathlib import Path

import pytest

from export.contract.bundle import (
    Item,
    Manifest,
    save_bundle,
)

ITEMS = (
    Item("up", "Up (2009)", 7, {"genres": ["Animation", "Drama"]}),
    Item("47", "Amélie\u2028in two lines", 3),
)
HISTORIES = (("47", "up"), ("up",))


def save(folder: Path, items: tuple[Item, ...] = ITEMS, graph: bytes = b"graph") -> Manifest:
    model = folder.parent / "exported.onnx"
    model.write_bytes(graph)
    encoder = folder.parent / "encoder.onnx"
    encoder.write_bytes(b"encoder")
    return save_bundle(
        folder,
        model,
        items,
        histories=HISTORIES,
        item_encoder=encoder,
        student="sasrec",
        max_history_length=50,
        metrics={"test": {"NDCG@20": 0.125}, "seed": 1},
        parity_error=1e-6,
        provenance={"dataset": "9f", "seeds": [0, 1]},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved bundle."""
    save(tmp_path / "bundle")
    return tmp_path / "bundle"
