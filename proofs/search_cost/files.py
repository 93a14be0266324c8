"""Names the files of a large catalog."""

import json
from dataclasses import dataclass
from pathlib import Path

K = 20


@dataclass(frozen=True)
class CatalogFiles:
    """Paths of the files of one size.

    Beside these, the folder has what `benchmarks.rivals.vector_index` reads: `least.npy`, the score
    that the best `K` unseen items of a query have at least, and `seen.npy`.
    """

    folder: Path

    @property
    def table(self) -> Path:
        """Path of the item vectors, `[items + 1, hidden]`."""
        return self.folder / "table.npy"

    @property
    def queries(self) -> Path:
        """Path of the query vectors, `[queries, hidden]`."""
        return self.folder / "queries.npy"

    @property
    def least(self) -> Path:
        """Path of the least score of each query's best items, `[queries]`."""
        return self.folder / "least.npy"

    @property
    def seen(self) -> Path:
        """Path of the items to leave out, `[queries, longest]`, with zeros after them."""
        return self.folder / "seen.npy"

    @property
    def bundle(self) -> Path:
        """Folder of the bundle."""
        return self.folder / "bundle"

    @property
    def built(self) -> Path:
        """Path of what building the bundle took, in JSON."""
        return self.folder / "built.json"

    @property
    def histories_path(self) -> Path:
        """Path of the histories that are asked, item indices in JSON, oldest first."""
        return self.folder / "histories.json"

    @property
    def export_histories_path(self) -> Path:
        """Path of the histories that the export chooses the search with; none of them is asked."""
        return self.folder / "export_histories.json"

    def export_histories(self) -> list[list[int]]:
        """Returns the histories of `export_histories_path`."""
        found: list[list[int]] = json.loads(self.export_histories_path.read_text())
        return found
