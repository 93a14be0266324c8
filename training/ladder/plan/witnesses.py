"""Outside witnesses: models of another library, trained by it on the same dataset."""

from dataclasses import dataclass

from training.data.dataset import Dataset
from training.stage import fingerprint

WITNESSES = ("RecTools SASRec", "RecTools eSASRec")


@dataclass(frozen=True)
class WitnessRun:
    """The stored ranks of an outside model; `name` is one of `WITNESSES`.

    The project cannot train it, so its settings are facts of the file, not part of the stamp.
    """

    name: str
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """Fingerprint of name and dataset; names the file of ranks."""
        return fingerprint("witness", self.name, self.dataset.fingerprint)
