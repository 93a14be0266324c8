import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from training import teach
from training.data.dataset import Dataset
from training.data.storage import save_dataset
from training.knowledge import EMBEDDINGS_NAME, load_knowledge


@pytest.fixture
def experiment_path(tmp_path: Path, chain_dataset: Dataset, tiny_language_model_path: Path) -> Path:
    """An experiment whose dataset is prepared and whose teacher is tiny."""
    folder = tmp_path / "work" / "chain" / "dataset"
    folder.mkdir(parents=True)
    save_dataset(chain_dataset, folder)
    path = tmp_path / "chain.toml"
    path.write_text(
        f"""
        name = "chain"
        [data]
        source = "movielens"
        [teacher]
        kind = "retrieval"
        model = "{tiny_language_model_path}"
        precision = "float32"
        projection_size = 8
        epochs = 2
        batch_size = 32
        """
    )
    return path


def run(experiment_path: Path, *options: str) -> int:
    work = experiment_path.parent / "work"
    return teach.main([str(experiment_path), "--work", str(work), *options])


def test_teach_answers_every_example_of_every_split(
    experiment_path: Path, chain_dataset: Dataset
) -> None:
    assert run(experiment_path) == 0
    folder = experiment_path.parent / "work" / "chain" / "knowledge"
    knowledge = load_knowledge(folder, chain_dataset)
    assert len(knowledge.train.rows) == 30 * 4
    assert len(knowledge.validation.rows) == len(knowledge.test.rows) == 30
    assert knowledge.item_embeddings.shape[0] == 13
    assert knowledge.provenance["tokens"] > 0


@pytest.mark.parametrize("kind", ["retrieval", "generative", "titles"])
def test_a_teacher_of_any_kind_answers_the_budgeted_number_of_held_out_examples(
    kind: str, experiment_path: Path, chain_dataset: Dataset
) -> None:
    text = experiment_path.read_text()
    experiment_path.write_text(text.replace("[teacher]", "[teacher]\nbudget_held_out = 5"))
    assert run(experiment_path, "--kind", kind) == 0
    (folder,) = (experiment_path.parent / "work" / "chain").glob("knowledge*")
    knowledge = load_knowledge(folder, chain_dataset)
    counts = [len(each.rows) for each in (knowledge.train, knowledge.validation, knowledge.test)]
    assert counts == [30 * 4, 5, 5]


def test_current_knowledge_is_not_made_again(
    experiment_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(experiment_path)
    capsys.readouterr()
    assert run(experiment_path) == 0
    assert "is current" in capsys.readouterr().out


def test_ready_made_knowledge_is_not_made_again(
    experiment_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where settings have changed: teaching may take hours and would overwrite it."""
    run(experiment_path)
    ready = (experiment_path.parent / "work" / "chain" / "knowledge").rename(tmp_path / "ready")
    before = {path.name: path.stat().st_mtime_ns for path in ready.iterdir()}
    text = f'knowledge = "{ready}"\n{experiment_path.read_text()}'
    experiment_path.write_text(text.replace("[teacher]", "[teacher]\npatience = 9"))
    assert run(experiment_path) == 0
    assert "ready is ready-made, nothing to do" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in ready.iterdir()} == before

    experiment_path.write_text(text.replace("[teacher]", "[teacher]\nmax_titles = 40"))
    assert run(experiment_path) == 2
    assert "made with teacher.max_titles = 50, but the experiment has 40" in capsys.readouterr().err


def test_ready_made_knowledge_that_is_refused_is_replaced_as_the_error_says(
    experiment_path: Path, tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = experiment_path.parent / "work" / "chain" / "dataset"
    ready = experiment_path.parent / "ready"
    experiment_path.write_text(f'knowledge = "{ready}"\n{experiment_path.read_text()}')
    run(experiment_path)
    shutil.rmtree(folder)
    folder.mkdir()
    save_dataset(tiny_dataset, folder)

    assert run(experiment_path) == 2
    assert "replace it with `distilled-recommender teach CONFIG --again`" in capsys.readouterr().err
    assert run(experiment_path, "--again") == 0
    assert run(experiment_path) == 0


@pytest.mark.parametrize("name", ["item_embeddings.npz", "knowledge.json"])
def test_damaged_knowledge_that_is_current_is_replaced_as_the_error_says(
    experiment_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run(experiment_path)
    (experiment_path.parent / "work" / "chain" / "knowledge" / name).write_bytes(b"damaged")

    assert run(experiment_path) == 2
    assert "make it with `distilled-recommender teach CONFIG --again`" in capsys.readouterr().err
    assert run(experiment_path, "--again") == 0
    assert run(experiment_path) == 0


def test_teaching_again_gives_the_same_bytes(experiment_path: Path) -> None:
    run(experiment_path)
    knowledge = experiment_path.parent / "work" / "chain" / "knowledge"
    first = shutil.copytree(knowledge, experiment_path.parent / "first")
    (fit,) = knowledge.parent.glob("reading/*/fit-*.safetensors")
    fit.unlink()
    run(experiment_path, "--again")
    for path in [*first.glob("*.npz"), first / "matcher.safetensors"]:
        assert path.read_bytes() == (knowledge / path.name).read_bytes()


def test_teaching_again_reads_what_the_teacher_has_read_until_the_folder_that_it_names_is_deleted(
    experiment_path: Path, tiny_language_model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copytree(tiny_language_model_path, experiment_path.parent / "model")
    text = experiment_path.read_text().replace(str(tiny_language_model_path), str(model))
    experiment_path.write_text(text.replace('kind = "retrieval"', 'kind = "titles"'))
    workplace = experiment_path.parent / "work" / "chain"
    embeddings = workplace / "knowledge-titles" / EMBEDDINGS_NAME
    run(experiment_path)
    first = embeddings.read_bytes()
    weights = load_file(model / "model.safetensors")
    save_file({name: 2 * each for name, each in weights.items()}, model / "model.safetensors")
    capsys.readouterr()

    run(experiment_path, "--again")
    assert embeddings.read_bytes() == first
    assert f"delete {workplace / 'reading'}, and everything is read" in capsys.readouterr().out

    shutil.rmtree(workplace / "reading")
    run(experiment_path, "--again")
    assert embeddings.read_bytes() != first
    assert "is used again" not in capsys.readouterr().out


def test_another_kind_of_teacher_writes_a_knowledge_folder_of_its_own(
    experiment_path: Path, chain_dataset: Dataset
) -> None:
    experiment_path.write_text(experiment_path.read_text() + "writing.max_new_tokens = 2\n")
    assert run(experiment_path, "--kind", "generative") == 0
    workplace = experiment_path.parent / "work" / "chain"
    knowledge = load_knowledge(workplace / "knowledge-generative", chain_dataset)
    assert knowledge.provenance["teacher"] == "generative"
    assert not (workplace / "knowledge").exists()


def test_the_cost_of_a_teacher_is_the_sum_of_its_parts(
    experiment_path: Path, chain_dataset: Dataset
) -> None:
    tuned = 'tuning = "lora"\ntuner.epochs = 0.1\n'
    experiment_path.write_text(experiment_path.read_text() + tuned)
    run(experiment_path)
    folder = experiment_path.parent / "work" / "chain" / "knowledge"
    provenance = load_knowledge(folder, chain_dataset).provenance
    costs = provenance["costs"]
    assert costs.keys() == {"tuning", "asking", "fitting", "answering"}
    assert provenance["tokens"] == costs["tuning"]["tokens"] + costs["asking"]["tokens"] > 0
    assert provenance["weights"]


def test_a_model_that_cannot_be_loaded_is_named(
    experiment_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = experiment_path.read_text().replace('model = "', 'model = "/nowhere')
    experiment_path.write_text(text)
    assert run(experiment_path) == 2
    assert "teacher.model = '/nowhere" in capsys.readouterr().err
