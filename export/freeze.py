"""Freezes a checkpoint into a bundle: exports its graphs, proves them, measures them, saves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item, Manifest, save_bundle
from export.figures import Comparison, measure, metrics_of
from export.graphs.common_case_graph import export_common_case
from export.graphs.item_encoder import export_item_encoder
from export.graphs.ranking_graph import export_student
from export.parity import NUM_RANDOM_HISTORIES, check_parity, proven_share
from export.served_figures import served_ranker
from export.sessions import CommonCaseSession, RankingSession
from training.data.dataset import HELD_OUT, Dataset
from training.distillation.checkpoint import Checkpoint
from training.students.student import Student

NUM_HISTORIES = 16
# A bundle has a common-case graph that proves its answer to so many queries, at least. Below, too
# many queries would run both graphs.
MIN_PROVEN_SHARE = 0.9


@dataclass(frozen=True)
class Graphs:
    """A student's exported and proven graphs; `common_case` is None where it saves no time."""

    model: Path
    common_case: Path | None
    parity_error: float


def export_graphs(
    student: Student, folder: Path, *, num_random: int = NUM_RANDOM_HISTORIES
) -> Graphs:
    """Writes the graphs of `student` into `folder` and checks them on `num_random` histories.

    Raises:
        ParityError: a graph does not answer as the student does.
    """
    model, common_case = folder / "model.onnx", folder / "plain.onnx"
    export_student(student, model)
    has_common_case = export_common_case(student, common_case)
    ranking_graph = RankingSession(model)
    common_case_graph = CommonCaseSession(common_case) if has_common_case else None
    parity = check_parity(student, ranking_graph, common_case_graph, num_random=num_random)
    saves_time = common_case_graph is not None and (
        proven_share(common_case_graph, student.max_history_length, ranking_graph.num_items)
        >= MIN_PROVEN_SHARE
    )
    return Graphs(model, common_case if saves_time else None, parity.max_score_error)


def freeze(
    checkpoint: Checkpoint,
    dataset: Dataset,
    folder: Path,
    provenance: Mapping[str, Any],
    item_embeddings: NDArray[np.float32] | None = None,
    comparison: Comparison | None = None,
) -> Manifest:
    """Makes `folder` the bundle of `checkpoint`.

    Args:
        checkpoint: the student to export.
        dataset: that it was trained on; its held-out examples are measured.
        folder: is replaced as a whole.
        provenance: for the manifest.
        item_embeddings: `[catalog rows, size]`, those that the student was trained with. With
            them, the bundle can make vectors of new items.
        comparison: fills the manifest's figures and its verdict; without it they are empty.

    Raises:
        ParityError: an exported graph does not answer as the student does; nothing is saved.
        ItemEncoderError: the student was trained with other embeddings; nothing is saved.
        BundleError: the catalog does not fit into a bundle.
    """
    student = checkpoint.student()
    longest = student.max_history_length
    with TemporaryDirectory() as scratch:
        encoder = Path(scratch) / "encoder.onnx"
        can_encode = item_embeddings is not None and export_item_encoder(
            student.item_table, item_embeddings, encoder
        )
        graphs = export_graphs(student, Path(scratch))
        ranker = served_ranker(graphs.model, graphs.common_case, dataset, longest)
        served = measure(ranker, dataset, "served")
        return save_bundle(
            folder,
            graphs.model,
            items_of(dataset),
            histories=histories_of(dataset, longest),
            common_case=graphs.common_case,
            item_encoder=encoder if can_encode else None,
            student=checkpoint.description.student.kind,
            max_history_length=longest,
            metrics={"seed": checkpoint.description.seed, **metrics_of(served)},
            figures=comparison.figures(served, dataset) if comparison else (),
            verdict=comparison.verdict(served, dataset) if comparison else "",
            parity_error=graphs.parity_error,
            provenance=provenance,
        )


def items_of(dataset: Dataset) -> Iterator[Item]:
    """The catalog's items in index order; popularity counts training interactions."""
    catalog = dataset.catalog
    columns = (catalog.item_ids, catalog.titles, dataset.train_counts()[1:], catalog.attributes)
    for item_id, title, popularity, attributes in zip(*columns, strict=True):
        yield Item(item_id, title, int(popularity), attributes)


def histories_of(dataset: Dataset, max_length: int) -> Iterator[list[str]]:
    """Real histories for a service to warm up with, as item ids: those of the last examples."""
    examples = [row for split in HELD_OUT for row in dataset.example_rows(split)]
    for row in examples[-NUM_HISTORIES:]:
        newest = dataset.history(int(row))[-max_length:]
        yield [dataset.catalog.item_ids[index - 1] for index in newest]
