from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.__main__ import main
from training.data.dataset import Dataset
from training.data.storage import load_dataset, save_dataset
from training.distillation.checkpoint import Checkpoint, save_checkpoint
from training.distillation.experiment_jobs import jobs_of
from training.knowledge import Answers, Knowledge, load_knowledge, save_knowledge
from training.settings.experiment import load_experiment
from training.stage import write_stage
from training.workplace import Workplace

NO_ANSWERS = Answers(
    rows=np.zeros(0, dtype=np.int64),
    rankings=np.zeros((0, 20), dtype=np.int32),
    distances=np.zeros((0, 20), dtype=np.float32),
    next_item_distances=np.zeros(0, dtype=np.float32),
)


@pytest.fixture
def workplace(dataset: Dataset, item_embeddings: NDArray[np.float32], tmp_path: Path) -> Workplace:
    """A dataset and knowledge, as `prepare` and `teach` write them, and the experiment file."""
    (tmp_path / "films.toml").write_text(
        'name = "films"\n[data]\nsource = "movielens"\n[training]\nseeds = [0, 1]\n'
    )
    workplace = Workplace(tmp_path / "work" / "films")
    with write_stage(workplace.dataset, "stamp") as folder:
        save_dataset(dataset, folder)
    knowledge = Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=NO_ANSWERS,
        validation=NO_ANSWERS,
        test=NO_ANSWERS,
        item_embeddings=item_embeddings,
        provenance={
            "model": "a film fan",
            "costs": {"endpoint": {"base_url": "http://llm.internal"}},
        },
    )
    with write_stage(workplace.knowledge_of("titles"), "stamp") as folder:
        save_knowledge(knowledge, folder)
    return workplace


def train(
    workplace: Workplace, checkpoint: Checkpoint, variant: str, seed: int, ndcg: float
) -> None:
    changes = {"variant": variant, "seed": seed, "validation": {"NDCG@20": ndcg}}
    trained = replace(checkpoint, description=checkpoint.description.model_copy(update=changes))
    experiment = load_experiment(workplace.folder.parent.parent / "films.toml")
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(workplace.knowledge_of("titles"), dataset)
    (stamp,) = (
        job.stamp for job in jobs_of(experiment, dataset, knowledge, [variant]) if job.seed == seed
    )
    save_checkpoint(trained, workplace.checkpoints / trained.name, stamp)


def export(workplace: Workplace, *more: str) -> int:
    work = workplace.folder.parent
    return main([str(work.parent / "films.toml"), "--work", str(work), *more])


@pytest.fixture
def distilled_twice(workplace: Workplace, checkpoint: Checkpoint) -> Workplace:
    """Two distilled students, of which validation prefers distilled-1."""
    train(workplace, checkpoint, "distilled", 0, 0.1)
    train(workplace, checkpoint, "distilled", 1, 0.2)
    return workplace
