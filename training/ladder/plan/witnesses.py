"""Plans outside witnesses: models that another library has trained on the same dataset."""

from dataclasses import dataclass

from training.data.dataset import Dataset
from training.stage import fingerprint

WITNESSES = ("RecTools SASRec", "RecTools eSASRec")


@dataclass(frozen=True)
class WitnessRun:
    """An outside witness whose ranks are stored; `name` is one of `WITNESSES`.

    This project cannot train the model. So the file of ranks only records the model's settings, and
    they are not part of the stamp.
    """

    name: str
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """Hash of the name and the dataset; the ranks are stored in `<stamp>.npz`."""
        return fingerprint("witness", self.name, self.dataset.fingerprint)
