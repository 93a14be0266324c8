"""Makes a bundle from an encoder in ONNX, a table of items and their vectors.

distilled-recommender bundle make BUNDLE --encoder E.onnx --items items.csv --vectors vectors.npy

`export.graphs.given_encoder` describes the encoder's inputs and output. The bundle's graphs add the
window, padding, masks and top-k.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from export.contract.bundle import Manifest, save_bundle
from export.contract.manifest import SHOWN_METRICS, is_approximate
from export.figures import Comparison, RowName, measure, metrics_of
from export.freeze import Graphs, checked_graphs, histories_of, items_of
from export.graphs.common_case_graph import export_common_case_graph
from export.graphs.encoder_file import encoder_files, read_encoder
from export.graphs.given_encoder import GivenEncoder
from export.imports.inputs import dataset_of, read_vectors
from export.parity.check import NUM_RANDOM_HISTORIES, ParityError, Reference
from export.scorer import export_best_search, random_windows
from export.served_figures import served_ranker
from training.cli import say
from training.data.dataset import Dataset
from training.data.sources.items_table import MissingTitles, items_stamps
from training.data.sources.table_files import file_stamp, table_stamps
from training.provenance import commit
from training.stage import fingerprint

NUM_DRAWS = 1_000  # bootstrap draws of the figures' intervals
ORIGIN = "onnx"

BundleFolder = Annotated[Path, Parameter(help="Folder of the new bundle.")]
Items = Annotated[
    Path,
    Parameter(
        help="Table of items, CSV or Parquet, or a folder or pattern of such files: item_id, "
        "title, and attributes as further columns."
    ),
]
Histories = Annotated[
    Path | None,
    Parameter(
        help="Table of interactions, CSV or Parquet, or a folder or pattern of such files: "
        "user_id, item_id, and timestamp or position. The bundle is measured on the last "
        "interaction of each user, which the model must not have been trained on."
    ),
]
Name = Annotated[str, Parameter(help="Kind of the model, such as sasrec.", show_default=True)]
Titles = Annotated[
    MissingTitles,
    Parameter(help="For an item without a title: an error, or a placeholder.", show_default=True),
]
Trained = Annotated[
    Literal["validation", "refit"],
    Parameter(
        name="--protocol",
        help="Interactions that the model was trained on. "
        '"validation": only those before the measured ones; "refit": the measured ones too, so '
        "that the figures say nothing about new interactions.",
        show_default=True,
    ),
]


@dataclass(frozen=True)
class Sources:
    """The files from which a bundle is made.

    A table is a file, a folder or a pattern, see `training.data.sources.table_files`.

    Attributes:
        encoder: ONNX file of the encoder.
        items: table of the items: CSV, Parquet, or RecBole's `.item`.
        vectors: .npy file of the item vectors, `[items, size]`, in the order of the items.
        histories: table of interactions: CSV, Parquet, or RecBole's `.inter`; None: the bundle has
            no figures.
        max_history_length: number of newest items that the encoder reads; None: the constant width
            of its windows.
        missing_titles: for an item without a title, "refuse" raises a DataError, and "placeholder"
            makes a title from its id.
    """

    encoder: Path
    items: Path
    vectors: Path
    histories: Path | None = None
    max_history_length: int | None = None
    missing_titles: MissingTitles = "refuse"


@dataclass(frozen=True)
class Origin:
    """The origin of a model, for the manifest.

    Attributes:
        program: program that trained the model, one of `export.contract.manifest.ORIGINS`.
        name: kind of the model, such as "sasrec".
        protocol: "validation" if the model was trained without the test interactions, "refit" if
            with them.
        provenance: further facts about the model, added to the manifest's provenance.
    """

    program: str
    name: str
    protocol: str
    provenance: dict[str, Any]


def command(
    bundle: BundleFolder,
    /,
    *,
    encoder: Annotated[Path, Parameter(help="ONNX file: window and/or vectors -> query.")],
    items: Items,
    vectors: Annotated[
        Path,
        Parameter(
            help="Item vectors: a .npy file of floats [items, size], in the order of the items."
        ),
    ],
    histories: Histories = None,
    max_history_length: Annotated[
        int | None,
        Parameter(
            help="Number of newest items that the encoder reads; by default the constant width of "
            "its windows."
        ),
    ] = None,
    name: Name = ORIGIN,
    protocol: Trained = "validation",
    missing_titles: Titles = "refuse",
) -> None:
    """Make a bundle of an encoder in ONNX, a table of items and their vectors."""
    sources = Sources(encoder, items, vectors, histories, max_history_length, missing_titles)
    make_bundle(sources, Origin(ORIGIN, name, protocol, {}), bundle)


def make_bundle(
    sources: Sources, origin: Origin, folder: Path, *, num_random: int = NUM_RANDOM_HISTORIES
) -> Manifest:
    """Makes a bundle if its graphs rank as the encoder itself does; prints its description.

    Args:
        sources: the files from which the bundle is made.
        origin: origin of the model, for the manifest.
        folder: the bundle's folder, which is replaced as a whole.
        num_random: number of random histories to rank after in the comparison, besides edge cases.

    Raises:
        DataError: a table or the vectors cannot be used.
        EncoderError: the encoder is not of the form that `export.graphs.given_encoder` describes.
        ParityError: a graph ranks differently from the encoder; nothing is saved.
        BundleError: the written bundle is invalid; an older bundle stays.
    """
    dataset = dataset_of(sources.items, sources.histories, sources.missing_titles, origin.name)
    table = read_vectors(sources.vectors, dataset.catalog)
    encoder = read_encoder(sources.encoder, table, sources.max_history_length)
    provenance = _provenance(sources, dataset)
    with TemporaryDirectory() as scratch:
        graphs = _graphs(encoder, Path(scratch), num_random)
        manifest = _save(graphs, encoder, dataset, folder, origin, provenance)
    say(_description(folder, manifest))
    return manifest


def _graphs(encoder: GivenEncoder, folder: Path, num_random: int) -> Graphs:
    model, common_case = folder / "model.onnx", folder / "plain.onnx"
    for_graphs = encoder.for_graphs()
    try:
        items = np.arange(1, len(encoder.table))
        windows = random_windows(items, encoder.max_history_length)
        scorer = export_best_search(for_graphs, model, windows)
        has_common_case = export_common_case_graph(for_graphs, common_case)
        graphs = checked_graphs(
            Reference(encoder.max_history_length, items, encoder.scores, is_approximate(scorer)),
            model,
            common_case if has_common_case else None,
            num_random=num_random,
        )
        return replace(graphs, scorer=scorer)
    except ParityError as error:
        raise ParityError(
            f"{encoder.path}: the bundle's graphs differ from the encoder: {error}. "
            "Padding on the left, other rows of a batch and the width of the window must not "
            "change a query vector"
        ) from error


def _save(
    graphs: Graphs,
    encoder: GivenEncoder,
    dataset: Dataset,
    folder: Path,
    origin: Origin,
    provenance: dict[str, Any],
) -> Manifest:
    items = list(items_of(dataset))
    longest = encoder.max_history_length
    ranker = served_ranker(graphs.model, graphs.common_case, dataset, longest, items)
    served = measure(ranker, dataset, "served")
    row = RowName(origin.name, origin.name, teacher_free=True, protocol=origin.protocol)
    comparison = Comparison(
        row, is_taught=False, seed=0, baselines={}, teacher=None, num_draws=NUM_DRAWS
    )
    return save_bundle(
        folder,
        graphs.model,
        items,
        histories=histories_of(dataset, longest),
        common_case=graphs.common_case,
        tables=graphs.tables,
        student=origin.name,
        max_history_length=longest,
        metrics=metrics_of(served),
        figures=comparison.figures(served, dataset) if served else (),
        parity_error=graphs.parity_error,
        scorer=graphs.scorer,
        provenance=provenance | origin.provenance,
        origin=origin.program,
        protocol=origin.protocol,
    )


def _provenance(sources: Sources, dataset: Dataset) -> dict[str, Any]:
    return {
        "commit": commit(),
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "sources": _hashes(sources),
    }


def _hashes(sources: Sources) -> dict[str, str]:
    """Returns the SHA-256 of each source by its name.

    For several files of one name, such as those of a table, it is a hash of theirs in order.
    """
    files = [*encoder_files(sources.encoder), sources.vectors]
    named = [(path.name, [file_stamp(path)]) for path in files]
    named.append((sources.items.name, items_stamps(sources.items)))
    if sources.histories is not None:
        named.append((sources.histories.name, table_stamps(sources.histories)))
    stamps: dict[str, list[str]] = {}
    for name, those in named:
        stamps.setdefault(name, []).extend(those)
    return {
        name: each[0] if len(each) == 1 else fingerprint(*each) for name, each in stamps.items()
    }


def _description(folder: Path, manifest: Manifest) -> str:
    lines = [
        f"{folder}: version {manifest.model_version}, {manifest.num_items:,} items, histories of "
        f"up to {manifest.max_history_length}, scores within {manifest.parity_error:.1e} of the "
        "encoder"
    ]
    for split, figures in manifest.metrics.items():
        shown = ", ".join(f"{metric} {figures[metric]:.4f}" for metric in SHOWN_METRICS)
        lines.append(f"  {split} ({figures['examples']:,} examples): {shown}")
    return "\n".join(lines)
