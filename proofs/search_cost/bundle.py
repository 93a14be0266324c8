"""Builds the bundle of a large catalog, in a process of its own, whose memory is measured.

`python -m proofs.search_cost.bundle EXPERIMENT FOLDER` reads the files of `subject.CatalogFiles` in
FOLDER and writes the bundle, and what it took, beside them.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.load.memory import memory_mib
from benchmarks.subjects.subject import synthetic_item
from export.contract.bundle import Item, save_bundle
from export.freeze import export_graphs
from proofs.search_cost.files import CatalogFiles
from proofs.search_cost.subject import student_of
from training.provenance import commit


def build(experiment: Path, files: CatalogFiles) -> None:
    """Exports and checks the student's graphs as `export` does, and saves the bundle."""
    files.built.unlink(missing_ok=True)
    shutil.rmtree(files.bundle, ignore_errors=True)  # of another commit, or not complete
    began = time.process_time()
    student = student_of(files, experiment)
    table = torch.from_numpy(np.load(files.table, mmap_mode="c", allow_pickle=False))
    histories = [np.array(each) for each in files.export_histories()]
    with TemporaryDirectory(dir=files.folder) as name:
        graphs = export_graphs(student, Path(name), histories, table=table)
        graphs_seconds = time.process_time() - began
        save_bundle(
            files.bundle,
            graphs.model,
            _items(len(table) - 1),
            common_case=graphs.common_case,
            tables=graphs.tables,
            student="sasrec",
            max_history_length=student.max_history_length,
            metrics={},
            parity_error=graphs.parity_error,
            provenance={},
            scorer=graphs.scorer,
        )
    took = {
        "commit": commit(),
        "graphs_seconds": graphs_seconds,
        "seconds": time.process_time() - began,
        **memory_mib(),
    }
    files.built.write_text(json.dumps(took))


def _items(num_items: int) -> Iterator[Item]:
    return (synthetic_item(number, num_items) for number in range(num_items))


if __name__ == "__main__":
    build(Path(sys.argv[1]), CatalogFiles(Path(sys.argv[2])))
