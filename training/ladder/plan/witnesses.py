"""Outside witnesses: models of another library, trained by it on the same dataset."""

from dataclasses import dataclass

from training.data.dataset import Dataset
from training.stage import fingerprint

WITNESSES = ("RecTools SASRec", "RecTools eSASRec")


@dataclass(frozen=True)
class WitnessRun:
    """The stored ranks of an outside model; `name` is one of `WITNESSES`.

    This project cannot train it, so the file states its settings; the stamp does not have them.
    """

    name: str
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """Fingerprint of name and dataset; names the file of ranks."""
        return fingerprint("witness", self.name, self.dataset.fingerprint)
