"""Freezes a checkpoint into a bundle: export, prove, measure what will be served, save."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from export.bundle import Item, Manifest, save_bundle
from export.parity import check_parity
from export.ranking import RankingGraph, served_ranker
from export.to_onnx import export_student
from training.data.dataset import Dataset, Split
from training.distillation.checkpoint import Checkpoint
from training.evaluation.yardstick import Ranker, evaluate

MEASURED_SPLITS = (Split.VALIDATION, Split.TEST)


def freeze(
    checkpoint: Checkpoint, dataset: Dataset, folder: Path, provenance: Mapping[str, Any]
) -> Manifest:
    """Makes `folder` the bundle of `checkpoint`.

    Raises:
        ParityError: the exported graph does not answer as the student does; nothing is saved.
        BundleError: the catalog does not fit into a bundle.
    """
    student = checkpoint.student()
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        export_student(student, path)
        graph = RankingGraph(path)
        parity = check_parity(student, graph)
        seed = {"seed": checkpoint.description.seed}
        return save_bundle(
            folder,
            path,
            items_of(dataset),
            student=checkpoint.description.student.kind,
            max_history_length=student.max_history_length,
            metrics=seed | measure(served_ranker(graph, dataset), dataset, "served"),
            parity_error=parity.max_score_error,
            provenance=provenance,
        )


def items_of(dataset: Dataset) -> Iterator[Item]:
    """The catalog as the service shows it, popularity counted on training interactions."""
    catalog = dataset.catalog
    columns = (catalog.item_ids, catalog.titles, dataset.train_counts()[1:], catalog.attributes)
    for item_id, title, popularity, attributes in zip(*columns, strict=True):
        yield Item(item_id, title, int(popularity), attributes)


def measure(ranker: Ranker, dataset: Dataset, label: str) -> dict[str, dict[str, float]]:
    """Metrics by split name, on all examples of each split that has any."""
    return {
        split.name.lower(): _measure_split(ranker, dataset, split, label)
        for split in MEASURED_SPLITS
        if len(dataset.example_rows(split))
    }


def _measure_split(ranker: Ranker, dataset: Dataset, split: Split, label: str) -> dict[str, float]:
    examples = dataset.example_rows(split)
    with tqdm(desc=f"{label} {split.name.lower()}", total=len(examples), unit="example") as bar:

        def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
            bar.update(len(rows))
            return ranker(rows)

        return {"examples": len(examples), **evaluate(rank, dataset, examples).metrics}
