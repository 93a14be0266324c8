"""Makes a bundle from a checkpoint: exports ONNX graphs, then checks, measures and saves them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from export.contract.bundle import BundleLayout, Item, Manifest, StudentFacts, save_bundle
from export.contract.manifest import is_approximate
from export.figures import REFIT, VALIDATION, Comparison, measure, metrics_of
from export.graphs.common_case_graph import export_common_case_graph
from export.graphs.item_encoder import export_item_encoder
from export.graphs.query_encoder import encoder_of
from export.parity.check import (
    NUM_RANDOM_HISTORIES,
    Reference,
    check_parity,
    proven_share,
    torch_reference,
)
from export.scorer import export_best_search, random_windows, sampled
from export.served_figures import served_ranker
from export.sessions import CommonCaseSession, RankingSession
from training.data.dataset import HELD_OUT, Dataset
from training.distillation.checkpoint import Checkpoint
from training.evaluation.baselines.runs import BySplit
from training.students.student import Student

NUM_HISTORIES = 16
# A bundle gets a common-case graph only if the graph proves its answer for this share of queries.
# For every other query the ranking graph runs as well.
MIN_PROVEN_SHARE = 0.9


@dataclass(frozen=True)
class Trained:
    """A checkpoint, and the dataset that its student was trained on (for a refit, a view)."""

    checkpoint: Checkpoint
    dataset: Dataset


@dataclass(frozen=True)
class Graphs:
    """The files of a model's exported graphs, which have been compared with the model itself.

    Attributes:
        model: file of the ranking graph.
        common_case: file of the common-case graph; None if it would not save time.
        parity_error: largest absolute difference between a graph's and the model's score of an
            item.
        scorer: value of `Manifest.scorer`, the search of a large catalog; None for a small one.
    """

    model: Path
    common_case: Path | None
    parity_error: float
    scorer: Mapping[str, Any] | None = None

    @property
    def tables(self) -> tuple[Path, ...]:
        """Files of the large constants that the ranking graph refers to; empty if it has none."""
        return tuple(each for each in BundleLayout(self.model.parent).tables if each.exists())


def export_graphs(
    student: Student,
    folder: Path,
    histories: Sequence[NDArray[np.int64]] = (),
    *,
    num_random: int = NUM_RANDOM_HISTORIES,
    table: Tensor | None = None,
) -> Graphs:
    """Writes the graphs of `student` into `folder` and compares them with the student in torch.

    The graphs and the student rank items after edge cases and `num_random` random histories, fewer
    for a large catalog. For a large catalog, the search is chosen by measurements on `histories`
    (`export.scorer`). If there are none, random histories are used.

    `table`: the student's item vectors, `[items + 1, hidden]`, where the caller has them, such as
    mapped from a file; None: they are computed.

    Raises:
        ParityError: a graph ranks differently from the student in torch.
    """
    model, common_case = folder / "model.onnx", folder / "plain.onnx"
    table = student.eval().item_table().detach() if table is None else table
    encoder = encoder_of(student, table)  # of which all graphs share a part
    queries = histories or random_windows(
        student.item_table.read_items(), student.max_history_length
    )
    scorer = export_best_search(encoder, model, queries)
    has_common_case = export_common_case_graph(encoder, common_case)
    reference = replace(torch_reference(student, table), is_approximate=is_approximate(scorer))
    graphs = checked_graphs(
        reference, model, common_case if has_common_case else None, num_random=num_random
    )
    return replace(graphs, scorer=scorer)


def checked_graphs(
    reference: Reference,
    model: Path,
    common_case: Path | None,
    *,
    num_random: int = NUM_RANDOM_HISTORIES,
) -> Graphs:
    """Compares written graphs with the model that they were made from.

    Args:
        reference: the model that the graphs were made from.
        model: file of the ranking graph.
        common_case: file of the common-case graph; None if there is none.
        num_random: number of random histories to rank after, besides edge cases.

    Returns:
        The compared graphs. The common-case graph is left out if it would not save time.

    Raises:
        ParityError: a graph ranks differently from the model.
    """
    ranking_graph = RankingSession(model)
    common_case_graph = None if common_case is None else CommonCaseSession(common_case)
    parity = check_parity(reference, ranking_graph, common_case_graph, num_random=num_random)
    saves_time = common_case_graph is not None and (
        proven_share(common_case_graph, reference.max_history_length, ranking_graph.num_items)
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
    twin: Trained | None = None,
) -> Manifest:
    """Exports a student, measures the exported graphs, writes the bundle; returns its manifest.

    Args:
        checkpoint: the student to export.
        dataset: the dataset that the student was trained on.
        folder: the bundle's folder, which is replaced as a whole.
        provenance: the provenance for the manifest.
        item_embeddings: `[catalog rows, size]`, LLM embeddings of titles that the student was
            trained with; None: the bundle gets no item encoder.
        comparison: computes the manifest's figures and verdict; None leaves both empty.
        twin: a refit without the test examples, which is measured in place of a student that was
            trained on them; None: the student itself is measured.

    Raises:
        ParityError: an exported graph ranks differently from the student; nothing is saved.
        ItemEncoderError: the student was trained with other embeddings; nothing is saved.
        BundleError: the written bundle is invalid; an older bundle stays.
    """
    student = checkpoint.student()
    with TemporaryDirectory() as scratch:
        encoder = _item_encoder(student, item_embeddings, Path(scratch))
        graphs = export_graphs(student, Path(scratch), _queries(dataset, student))
        if twin is None:
            measured, served = dataset, _measured(graphs, dataset, student)
        else:
            measured, served = twin.dataset, _measured_twin(twin, Path(scratch) / "twin")
        return save_bundle(
            folder,
            graphs.model,
            items_of(dataset, student.item_table.readable_rows()),
            histories=histories_of(measured, student.max_history_length),
            common_case=graphs.common_case,
            item_encoder=encoder,
            tables=graphs.tables,
            parity_error=graphs.parity_error,
            provenance=provenance,
            scorer=graphs.scorer,
            protocol=REFIT if twin else VALIDATION,
            **_facts(checkpoint, comparison, served, measured),
        )


def _facts(
    checkpoint: Checkpoint, comparison: Comparison | None, served: BySplit, measured: Dataset
) -> StudentFacts:
    """Returns the manifest's fields about the student and its metrics.

    Args:
        checkpoint: the student that is exported.
        comparison: computes figures and verdict; None leaves both empty.
        served: ranks of the held-out examples by the measured student's exported graphs, by split.
        measured: dataset that has these examples.
    """
    description = checkpoint.description
    return {
        "student": description.student.kind,
        "max_history_length": description.student.max_history_length,
        "metrics": {"seed": description.seed, **metrics_of(served)},
        "figures": comparison.figures(served, measured) if comparison else (),
        "verdict": comparison.verdict(served, measured) if comparison else "",
    }


def _item_encoder(
    student: Student, item_embeddings: NDArray[np.float32] | None, folder: Path
) -> Path | None:
    """Writes the item encoder into `folder` and returns its path.

    Returns None if there are no embeddings, or if the student uses none.
    """
    path = folder / "encoder.onnx"
    if item_embeddings is None or not export_item_encoder(
        student.item_table, item_embeddings, path
    ):
        return None
    return path


def _measured(graphs: Graphs, dataset: Dataset, student: Student) -> BySplit:
    items = list(items_of(dataset, student.item_table.readable_rows()))
    longest = student.max_history_length
    ranker = served_ranker(graphs.model, graphs.common_case, dataset, longest, items)
    return measure(ranker, dataset, "served")


def _measured_twin(twin: Trained, folder: Path) -> BySplit:
    student = twin.checkpoint.student()
    folder.mkdir()
    graphs = export_graphs(student, folder, _queries(twin.dataset, student))
    return _measured(graphs, twin.dataset, student)


def _queries(dataset: Dataset, student: Student) -> Sequence[NDArray[np.int64]]:
    """Returns histories of held-out examples as item indices, `[length]` each, oldest first.

    Items that the student does not read are left out, and so are histories without other items.
    """
    is_read = np.zeros(dataset.catalog.num_items + 1, dtype=np.bool_)
    is_read[student.item_table.read_items()] = True
    rows = sampled(np.concatenate([dataset.example_rows(split) for split in HELD_OUT]))
    histories = (dataset.history(int(row)).astype(np.int64) for row in rows)
    return [kept for each in histories if len(kept := each[is_read[each]])]


def items_of(dataset: Dataset, readable: NDArray[np.bool_] | None = None) -> Iterator[Item]:
    """Yields the catalog's items for a bundle, in the order of their item indices.

    The popularity of an item is its number of training interactions in `dataset`. `readable` is
    `[catalog rows]`: whether the student reads the item; None: it reads all.
    """
    catalog = dataset.catalog
    is_read = [True] * catalog.num_items if readable is None else readable[1:].tolist()
    columns = (catalog.item_ids, catalog.titles, dataset.train_counts()[1:].tolist())
    yield from map(Item, *columns, catalog.attributes, is_read)


def histories_of(dataset: Dataset, max_length: int) -> Iterator[list[str]]:
    """Yields the histories of the last held-out examples, with which a service warms up.

    There are at most `NUM_HISTORIES`. Each has the newest `max_length` item ids before the
    example's next item, oldest first.
    """
    examples = [row for split in HELD_OUT for row in dataset.example_rows(split)]
    for row in examples[-NUM_HISTORIES:]:
        newest = dataset.history(int(row))[-max_length:]
        yield [dataset.catalog.item_ids[index - 1] for index in newest]
