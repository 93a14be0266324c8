"""Makes the bundles of the proof: one with many items, and a copy with another version."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import TensorProto, helper

from benchmarks.subjects.subject import SHAPE, random_student, synthetic_items
from export.contract.bundle import save_bundle
from export.contract.bundles_folder import BundleLink
from export.contract.layout import BundleLayout
from export.contract.tensors import ENCODER_TENSORS
from export.graphs.common_case_graph import export_common_case
from export.graphs.encoder import OPSET
from export.graphs.ranking_graph import export_student
from proofs.fixtures.data.rehashed import rehash

NEXT = "next"
"""Folder name of the copy with another version."""


def make_bundle(folder: Path, num_items: int) -> Path:
    """Saves a bundle of a student with random weights; the embedding of an item is its vector."""
    student, items = random_student(num_items), synthetic_items(num_items)
    with TemporaryDirectory() as drafts:
        model, common, encoder = (Path(drafts) / name for name in ("model", "common", "encoder"))
        export_student(student, model)
        has_common = export_common_case(student, common)
        _save_encoder(encoder)
        save_bundle(
            folder,
            model,
            items,
            histories=[[each.item_id for each in items[:20]]],
            common_case=common if has_common else None,
            item_encoder=encoder,
            student=SHAPE.kind,
            max_history_length=SHAPE.max_history_length,
            metrics={},
            parity_error=0.0,
            provenance={"made_by": "python -m proofs live_items"},
        )
    return folder


def published(bundle: Path, folder: Path) -> BundleLink:
    """Publishes `bundle` and a copy with another version, NEXT; returns the link to the bundle."""
    link = BundleLink(folder / "active")
    for name in (NEXT, "first"):
        shutil.copytree(bundle, link.folder(name))
    manifest = BundleLayout(link.folder(NEXT)).manifest
    content = json.loads(manifest.read_bytes())
    content["provenance"] |= {"copy": NEXT}
    manifest.write_text(json.dumps(content), encoding="utf-8")
    rehash(link.folder(NEXT))
    link.move("first")
    return link


def _save_encoder(path: Path) -> None:
    """Writes an item encoder whose vectors are the embeddings."""
    sizes = ["batch", SHAPE.hidden_size]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", [ENCODER_TENSORS.embeddings], [ENCODER_TENSORS.vectors])],
        "encoder",
        inputs=[tensor(ENCODER_TENSORS.embeddings, TensorProto.FLOAT, sizes)],
        outputs=[tensor(ENCODER_TENSORS.vectors, TensorProto.FLOAT, sizes)],
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
