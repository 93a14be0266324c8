"""Names the files of a bundle's folder and limits their sizes."""

from dataclasses import dataclass
from pathlib import Path

from export.contract.records import MAX_LINE_LENGTH

MAX_MANIFEST_SIZE = 4 * 10**6
"""Maximum size of `manifest.json` in bytes."""
MAX_LINES_SIZE = 2 * 10**9
"""Maximum size of `items.jsonl` and of `histories.jsonl` in bytes."""
MAX_GRAPH_SIZE = 4 * 10**9
"""Maximum size of an ONNX file in bytes."""
MAX_SIGNATURE_SIZE = 4_096
"""Maximum size of `manifest.json.minisig` in bytes."""
MAX_HISTORIES = 10_000
"""Maximum number of histories in a bundle."""
_GRAPH_BASE_SIZE = 2**26
_GRAPH_ITEM_SIZE = 2**15  # two tables of 4,096 numbers an item


@dataclass(frozen=True)
class BundleLayout:
    """Paths of the files in a bundle's folder."""

    folder: Path

    @property
    def model(self) -> Path:
        """Path of the ranking graph, which answers every query."""
        return self.folder / "model.onnx"

    @property
    def common_case(self) -> Path:
        """Path of the common-case graph; a bundle has none if the graph would not save time."""
        return self.folder / "plain.onnx"

    @property
    def items(self) -> Path:
        """Path of the items: one JSON object per line, in the order of item indices from 1."""
        return self.folder / "items.jsonl"

    @property
    def manifest(self) -> Path:
        """Path of the manifest, the bundle's description in JSON."""
        return self.folder / "manifest.json"

    @property
    def signature(self) -> Path:
        """Path of the manifest's signature in minisign's format; an unsigned bundle has none."""
        return self.folder / "manifest.json.minisig"

    @property
    def histories(self) -> Path:
        """Path of the real histories: one JSON list of item ids per line, each oldest first.

        The file can be empty.
        """
        return self.folder / "histories.jsonl"

    @property
    def item_encoder(self) -> Path:
        """Path of the item encoder; a bundle has none if its student uses no LLM embeddings."""
        return self.folder / "item_encoder.onnx"

    @property
    def table(self) -> Path:
        """Path of the item vectors in NumPy's format; a bundle has none if the graph holds them."""
        return self.folder / "table.npy"

    @property
    def item_codes(self) -> Path:
        """Path of the item vectors' one-byte codes; only for a graph that searches by blocks."""
        return self.folder / "item_codes_by_block.npy"

    @property
    def tables(self) -> tuple[Path, ...]:
        """Paths of the ranking graph's large constants, named by `tensors.SHARED_TABLES`."""
        return self.table, self.item_codes

    @property
    def item_columns(self) -> Path:
        """Path of the items' columns (`columns`), made from `items`; only for large catalogs."""
        return self.folder / "item_columns.safetensors"

    @property
    def required(self) -> tuple[Path, ...]:
        """Paths of the files that every bundle has besides its manifest."""
        return self.model, self.items, self.histories

    @property
    def optional(self) -> tuple[Path, ...]:
        """Paths of the files that a bundle can lack; the signature is not among them."""
        return self.common_case, self.item_encoder, *self.tables, self.item_columns

    @property
    def hashed(self) -> tuple[Path, ...]:
        """Paths of the files whose hashes the manifest stores.

        All files of the bundle that exist are included, except the manifest and its signature.
        """
        return *self.required, *(path for path in self.optional if path.exists())


def max_size(path: Path, num_items: int) -> int:
    """Returns the maximum size of a file of a bundle, in bytes.

    Args:
        path: path of an ONNX graph, of a .npy file, or of a .jsonl file. Manifest and signature
            have constant limits instead, such as `MAX_MANIFEST_SIZE`.
        num_items: number of items of the bundle, as its manifest says.
    """
    if path.suffix != ".jsonl":
        return min(MAX_GRAPH_SIZE, _GRAPH_BASE_SIZE + num_items * _GRAPH_ITEM_SIZE)
    lines = num_items if path == BundleLayout(path.parent).items else MAX_HISTORIES
    # One line more than is allowed, so that the parser can name the line that is too many.
    return min(MAX_LINES_SIZE, (lines + 1) * (MAX_LINE_LENGTH + 1))
