"""Builds the bundle of a large catalog, in a process of its own, whose memory is measured.

`python -m proofs.search_cost.bundle WORK FOLDER` reads the files of `subject.CatalogFiles` in
FOLDER and writes the bundle, and what it took, beside them.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.load.memory import memory_mib
from benchmarks.subjects.subject import synthetic_item
from export.contract.bundle import BundleLayout, Item, save_bundle
from export.graphs.common_case_graph import export_common_case_graph
from export.graphs.query_encoder import encoder_of
from export.scorer import export_best_search
from proofs.search_cost.files import CatalogFiles
from proofs.search_cost.subject import student_of


def build(work: Path, files: CatalogFiles) -> None:
    """Exports the student's graphs with the search that `export` chooses, and saves the bundle."""
    began = time.process_time()
    student = student_of(files, work)
    encoder = encoder_of(
        student, torch.from_numpy(np.load(files.table, mmap_mode="c", allow_pickle=False))
    )
    with TemporaryDirectory(dir=files.folder) as name:
        model, common_case = Path(name) / "model.onnx", Path(name) / "plain.onnx"
        histories = [np.array(each) for each in files.histories()]
        scorer = export_best_search(encoder, model, histories)
        has_common_case = export_common_case_graph(encoder, common_case)
        graphs_seconds = time.process_time() - began
        save_bundle(
            files.bundle,
            model,
            _items(encoder.num_items),
            common_case=common_case if has_common_case else None,
            tables=[each for each in BundleLayout(model.parent).tables if each.exists()],
            student="sasrec",
            max_history_length=encoder.max_history_length,
            metrics={},
            parity_error=0.0,
            provenance={},
            scorer=scorer,
        )
    took = {
        "graphs_seconds": graphs_seconds,
        "seconds": time.process_time() - began,
        **memory_mib(),
    }
    files.built.write_text(json.dumps(took))


def _items(num_items: int) -> Iterator[Item]:
    return (synthetic_item(number, num_items) for number in range(num_items))


if __name__ == "__main__":
    build(Path(sys.argv[1]), CatalogFiles(Path(sys.argv[2])))
