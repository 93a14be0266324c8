"""Teachers that embed titles by their words, in place of an LLM."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training import teach
from training.data.dataset import Dataset, Split
from training.distillation.job import Job
from training.errors import ConfigError
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import ranker_of
from training.knowledge import Knowledge
from training.settings.experiment import Experiment, load_experiment
from training.teacher.live.backends import load_live_teacher
from training.teacher.titles.teach import words_embedder
from training.workplace import Workplace, with_teacher

Prepared = Callable[[str], Path]
VECTORS = "film 1 0\n" + "".join(f"{number} {number} 1\n" for number in range(12))


@pytest.fixture(params=["tf-idf", "word-vectors"])
def experiment(request: pytest.FixtureRequest, prepared: Prepared, tmp_path: Path) -> Experiment:
    """An experiment that has been taught by each kind; its LLM cannot be loaded."""
    (tmp_path / "vectors.txt").write_text(VECTORS)
    path = prepared(
        f'kind = "{request.param}"\n        word_vectors = "{tmp_path}/vectors.txt"\n'
        "        tf_idf_columns = 4\n        title_decays = [0.5]"
    )
    path.write_text(path.read_text().replace("model = ", "layers = 3\nmodel = 'no such' #"))
    assert teach.main([str(path), "--work", str(tmp_path / "work")]) == 0
    return load_experiment(path)


def test_its_knowledge_has_the_embeddings_of_all_titles_by_their_words(
    experiment: Experiment, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    titles = chain_dataset.catalog.titles
    expected = words_embedder(titles, experiment.teacher).embed(titles).astype(np.float16)
    np.testing.assert_array_equal(knowledge.item_embeddings[1:], expected)
    assert not knowledge.item_embeddings[0].any()
    assert knowledge.provenance["tokens"] == 0


def test_it_answers_with_the_titles_nearest_to_a_history_like_a_titles_teacher(
    knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    rows = chain_dataset.example_rows(Split.TEST)
    neighbours = TitleNeighbours(chain_dataset, knowledge.item_embeddings, decay=0.5)
    nearest = ranker_of(neighbours, chain_dataset)(rows)
    np.testing.assert_array_equal(knowledge.test.rankings, nearest)


def test_a_student_learns_from_it(
    experiment: Experiment, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    training = experiment.training.model_copy(update={"max_epochs": 1})
    short = experiment.model_copy(update={"training": training})
    trainer = Job(short, chain_dataset, "distilled", 0, knowledge).trainer()

    trainer.step(trainer.windows.epoch(seed=0, epoch=0)[0])

    assert trainer.student.item_table.readable is None
    assert trainer.objective.lists is not None


def test_the_live_teacher_answers_and_embeds_new_titles_without_an_llm(
    experiment: Experiment, workplace: Workplace, knowledge: Knowledge, chain_dataset: Dataset
) -> None:
    teacher = load_live_teacher(experiment, workplace)

    answer = teacher.recommend(["i3"], k=3, exclude=[])

    neighbours = TitleNeighbours(chain_dataset, knowledge.item_embeddings, decay=0.5)
    distances = neighbours.distances_after([np.array([3])])[0]
    assert answer.distances == pytest.approx(sorted(np.delete(distances, [0, 3]))[:3], abs=1e-3)
    assert answer.tokens == 0
    again = teacher.embed(chain_dataset.catalog.titles)
    np.testing.assert_array_equal(again, knowledge.item_embeddings[1:])


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ('tuning = "lora"', "learns from no history and needs tuning = 'none'"),
        ("budget_tokens = 9", "reads no histories, only titles"),
    ],
)
@pytest.mark.parametrize("kind", ["tf-idf", "word-vectors"])
def test_settings_of_reading_histories_are_refused(
    prepared: Prepared, kind: str, setting: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=f"kind = '{kind}' {problem}"):
        load_experiment(prepared(f'kind = "{kind}"\n        {setting}'))


def test_word_vectors_need_a_file(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    path = prepared('kind = "titles"')
    work = str(path.parent / "work")

    assert teach.main([str(path), "--work", work, "--kind", "word-vectors"]) != 0

    assert "teacher.word_vectors: missing" in capsys.readouterr().err
    assert with_teacher(load_experiment(path), "tf-idf").teacher.layers is None
