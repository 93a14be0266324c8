"""The proof of `training.scored_share`, on a dataset of a few users."""

from pathlib import Path

import numpy as np
import pytest

from proofs.scored_share import jobs_of, prove
from proofs.scored_share.quality import ALL, quality
from tests.training.conftest import chain_dataset as chain_dataset
from tests.training.conftest import write_chain
from tests.training.ladder.conftest import LADDER
from training.data.dataset import Dataset, Split
from training.errors import ConfigError
from training.ladder.runs.store import RunFacts, RunStore
from training.settings.experiment import Experiment, load_experiment

FACTS = RunFacts("by hand", 1.0, "no machine", ["abc"])


@pytest.fixture
def config(chain_dataset: Dataset, tmp_path: Path) -> Path:
    path = write_chain(chain_dataset, tmp_path)
    settings = path.read_text().replace("max_epochs = 3", "max_epochs = 1") + LADDER
    path.write_text(settings)
    return path


@pytest.fixture
def experiment(config: Path) -> Experiment:
    return load_experiment(config)


def test_each_share_has_its_quality_and_its_cost(config: Path, tmp_path: Path) -> None:
    def run() -> list[str]:
        figures = prove(
            config=config,
            shares=(0.4,),
            seeds=(0, 1),
            work=tmp_path / "work",
            out=tmp_path / "results",
            workers=1,
        )
        return [each.name for each in figures]

    names = run()
    stored = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "results").rglob("*.npz")}

    assert names == [
        "100% scored: validation NDCG@20",
        "40% scored: validation NDCG@20",
        "40% scored over all, validation NDCG@20",
        "40% scored over all, validation NDCG@20: lower end of the interval",
        "100% scored: a step",
        "40% scored: a step",
        "40% scored over all, CPU of a step",
    ]
    assert len(stored) == 4  # two shares, two seeds
    assert run() == names
    assert stored == {
        each.name: each.stat().st_mtime_ns for each in (tmp_path / "results").rglob("*.npz")
    }


def test_the_gain_is_that_of_validation_and_of_the_same_seeds(
    experiment: Experiment, chain_dataset: Dataset, tmp_path: Path
) -> None:
    """All candidates put every validation item first; a part of them puts it third."""
    store = RunStore(tmp_path / "runs", tmp_path / "states", "no machine")
    jobs = {share: jobs_of(experiment, chain_dataset, share, (0, 1)) for share in (ALL, 0.4)}
    for share, rank in ((ALL, 1), (0.4, 3)):
        for job in jobs[share]:
            ranks = {
                "validation": np.full(chain_dataset.num_examples(Split.VALIDATION), rank),
                "test": np.full(chain_dataset.num_examples(Split.TEST), 4 - rank),
            }
            store.save_ranks(job, ranks, FACTS)

    figures = {each.name: each for each in quality(jobs, store, chain_dataset)}

    gain = figures["40% scored over all, validation NDCG@20"]
    assert (gain.value, gain.low, gain.high) == pytest.approx((-0.5, -0.5, -0.5))
    assert not figures[f"{gain.name}: lower end of the interval"].holds


def test_several_trials_are_refused_since_one_is_compared(
    config: Path, chain_dataset: Dataset
) -> None:
    settings = config.read_text()
    for one in ("[1e-2]", "[0.3]", "[0.1]"):
        settings = settings.replace(one, one.replace("]", ", 0.2]"))
    config.write_text(settings)

    with pytest.raises(ConfigError, match=r"^ladder.grids.plain: 2 trials, where one is compared"):
        jobs_of(load_experiment(config), chain_dataset, ALL, (0,))
