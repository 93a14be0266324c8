"""Names the files of a bundle's folder, and bounds the size of each."""

from dataclasses import dataclass
from pathlib import Path

from export.contract.records import MAX_LINE_LENGTH

MAX_MANIFEST_SIZE = 4 * 10**6
MAX_LINES_SIZE = 2 * 10**9
MAX_GRAPH_SIZE = 4 * 10**9
MAX_SIGNATURE_SIZE = 4_096
"""Maximum sizes of the manifest, of a file of lines, of a graph and of a signature, in bytes."""
MAX_HISTORIES = 10_000
_GRAPH_BASE_SIZE = 2**26
_GRAPH_ITEM_SIZE = 2**15  # two tables of 4,096 numbers an item


@dataclass(frozen=True)
class BundleLayout:
    """Paths of the files in a bundle's folder."""

    folder: Path

    @property
    def model(self) -> Path:
        """The ranking graph, which answers every query."""
        return self.folder / "model.onnx"

    @property
    def common_case(self) -> Path:
        """The common-case graph; absent if it would not save time."""
        return self.folder / "plain.onnx"

    @property
    def items(self) -> Path:
        """The items, one JSON object per line, in order of item_index from 1."""
        return self.folder / "items.jsonl"

    @property
    def manifest(self) -> Path:
        """The JSON description of the bundle."""
        return self.folder / "manifest.json"

    @property
    def signature(self) -> Path:
        """The signature of the manifest, in minisign's format; absent if nobody has signed it."""
        return self.folder / "manifest.json.minisig"

    @property
    def histories(self) -> Path:
        """Real histories, one JSON list of item ids per line, oldest first; may have no line."""
        return self.folder / "histories.jsonl"

    @property
    def item_encoder(self) -> Path:
        """The item encoder; absent if the student reads no LLM embeddings."""
        return self.folder / "item_encoder.onnx"

    @property
    def required(self) -> tuple[Path, ...]:
        """The files that every bundle has, besides its manifest."""
        return self.model, self.items, self.histories

    @property
    def optional(self) -> tuple[Path, ...]:
        """The files that a bundle may lack."""
        return self.common_case, self.item_encoder

    @property
    def hashed(self) -> tuple[Path, ...]:
        """The files whose hashes the manifest stores: all existing ones except the manifest."""
        return *self.required, *(path for path in self.optional if path.exists())


def max_size(path: Path, num_items: int) -> int:
    """Returns the maximum size of a bundle's file, in bytes.

    Args:
        path: the file; the manifest is not among them.
        num_items: number of items in the bundle's manifest.
    """
    if path.suffix != ".jsonl":
        return min(MAX_GRAPH_SIZE, _GRAPH_BASE_SIZE + num_items * _GRAPH_ITEM_SIZE)
    lines = num_items if path == BundleLayout(path.parent).items else MAX_HISTORIES
    # One line more than there may be: the parser then says which line is too many.
    return min(MAX_LINES_SIZE, (lines + 1) * (MAX_LINE_LENGTH + 1))
