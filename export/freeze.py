"""Freezes a checkpoint into a bundle: export, prove, measure what will be served, save."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from export.contract.bundle import Item, Manifest, save_bundle
from export.graphs.common_case_graph import export_common_case
from export.graphs.item_encoder import export_item_encoder
from export.graphs.ranking_graph import export_student
from export.parity import NUM_RANDOM_HISTORIES, check_parity, share_of_known
from export.served_figures import served_ranker
from export.sessions import CommonCaseGraph, RankingGraph
from training.data.dataset import Dataset, Split
from training.distillation.checkpoint import Checkpoint
from training.evaluation.yardstick import Ranker, evaluate
from training.students.student import Student

MEASURED_SPLITS = (Split.VALIDATION, Split.TEST)
NUM_HISTORIES = 16
LEAST_KNOWN = 0.9  # of what a graph of plain questions is asked; else most are asked of two graphs


@dataclass(frozen=True)
class Graphs:
    """A student's graphs, proven; none of plain questions where it would not save time."""

    model: Path
    plain: Path | None
    parity_error: float


def export_graphs(
    student: Student, folder: Path, *, num_random: int = NUM_RANDOM_HISTORIES
) -> Graphs:
    """Writes the graphs of `student` into `folder` and asks them as many random histories.

    Raises:
        ParityError: one does not answer as the student does.
    """
    model, plain = folder / "model.onnx", folder / "plain.onnx"
    export_student(student, model)
    has_plain = export_common_case(student, plain)
    graph, of_plain = RankingGraph(model), CommonCaseGraph(plain) if has_plain else None
    parity = check_parity(student, graph, of_plain, num_random=num_random)
    is_worth_it = of_plain is not None and (
        share_of_known(of_plain, student.max_history_length, graph.num_items) >= LEAST_KNOWN
    )
    return Graphs(model, plain if is_worth_it else None, parity.max_score_error)


def freeze(
    checkpoint: Checkpoint,
    dataset: Dataset,
    folder: Path,
    provenance: Mapping[str, Any],
    item_embeddings: NDArray[np.float32] | None = None,
) -> Manifest:
    """Makes `folder` the bundle of `checkpoint`.

    With `item_embeddings` `[catalog rows, size]`, those that the student learnt from, the bundle
    can make vectors of new items.

    Raises:
        ParityError: an exported graph does not answer as the student does; nothing is saved.
        ItemEncoderError: the student learnt from other `item_embeddings`; nothing is saved.
        BundleError: the catalog does not fit into a bundle.
    """
    student = checkpoint.student()
    with TemporaryDirectory() as scratch:
        encoder_path = Path(scratch) / "encoder.onnx"
        can_encode = item_embeddings is not None and export_item_encoder(
            student.item_table, item_embeddings, encoder_path
        )
        graphs = export_graphs(student, Path(scratch))
        longest = student.max_history_length
        served = served_ranker(graphs.model, graphs.plain, dataset, longest)
        seed = {"seed": checkpoint.description.seed}
        return save_bundle(
            folder,
            graphs.model,
            items_of(dataset),
            histories=histories_of(dataset, longest),
            common_case=graphs.plain,
            item_encoder=encoder_path if can_encode else None,
            student=checkpoint.description.student.kind,
            max_history_length=longest,
            metrics=seed | measure(served, dataset, "served"),
            parity_error=graphs.parity_error,
            provenance=provenance,
        )


def items_of(dataset: Dataset) -> Iterator[Item]:
    """The catalog as the service shows it, popularity counted on training interactions."""
    catalog = dataset.catalog
    columns = (catalog.item_ids, catalog.titles, dataset.train_counts()[1:], catalog.attributes)
    for item_id, title, popularity, attributes in zip(*columns, strict=True):
        yield Item(item_id, title, int(popularity), attributes)


def histories_of(dataset: Dataset, max_length: int) -> Iterator[list[str]]:
    """Some real histories to warm up with, as item ids: the newest part of the last examples."""
    examples = [row for split in MEASURED_SPLITS for row in dataset.example_rows(split)]
    for row in examples[-NUM_HISTORIES:]:
        newest = dataset.history(int(row))[-max_length:]
        yield [dataset.catalog.item_ids[index - 1] for index in newest]


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
