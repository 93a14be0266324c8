import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import REFITS, Dataset, Protocol
from training.errors import KnowledgeError
from training.knowledge import Answers, Knowledge, load_knowledge, save_knowledge
from training.settings.teacher import TeacherConfig


def answers_for(*rows: int) -> Answers:
    count = len(rows)
    return Answers(
        rows=np.array(rows, dtype=np.int64),
        rankings=np.tile(np.array([4, 5], dtype=np.int32), (count, 1)),
        distances=np.tile(np.array([0.25, 0.5], dtype=np.float32), (count, 1)),
        next_item_distances=np.full(count, 0.75, dtype=np.float32),
    )


def knowledge_about(dataset: Dataset) -> Knowledge:
    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=answers_for(1, 2, 6, 10),
        validation=answers_for(3),
        test=answers_for(4, 7),
        item_embeddings=np.arange(12, dtype=np.float32).reshape(6, 2),
        provenance={"model": "tiny"},
    )


def test_saved_knowledge_loads_as_it_was(tmp_path: Path, tiny_dataset: Dataset) -> None:
    knowledge = knowledge_about(tiny_dataset)
    save_knowledge(knowledge, tmp_path)
    loaded = load_knowledge(tmp_path, tiny_dataset)
    np.testing.assert_array_equal(loaded.train.rows, [1, 2, 6, 10])
    np.testing.assert_array_equal(loaded.test.rankings, knowledge.test.rankings)
    np.testing.assert_array_equal(loaded.validation.distances, [[0.25, 0.5]])
    np.testing.assert_array_equal(loaded.item_embeddings, knowledge.item_embeddings)
    assert loaded.provenance == {"model": "tiny"}


def test_equal_knowledge_is_saved_in_equal_bytes(tmp_path: Path, tiny_dataset: Dataset) -> None:
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        save_knowledge(knowledge_about(tiny_dataset), tmp_path / name)
    for path in (tmp_path / "once").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_knowledge_about_another_dataset_is_refused_by_name(
    tmp_path: Path, tiny_dataset: Dataset, chain_dataset: Dataset
) -> None:
    save_knowledge(knowledge_about(tiny_dataset), tmp_path)
    with pytest.raises(
        KnowledgeError,
        match=f"made for a dataset with fingerprint {tiny_dataset.fingerprint}.*chain",
    ):
        load_knowledge(tmp_path, chain_dataset)


def test_knowledge_of_another_teacher_is_refused_by_the_setting_that_differs(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    settings = {"kind": "titles", "max_titles": 50}  # made before there was a choice of the rest
    knowledge = replace(knowledge_about(tiny_dataset), provenance={"settings": settings})
    save_knowledge(knowledge, tmp_path)
    load_knowledge(tmp_path, tiny_dataset, TeacherConfig(kind="titles"))
    with pytest.raises(KnowledgeError, match=r"teacher\.kind = 'titles'.* has 'retrieval'"):
        load_knowledge(tmp_path, tiny_dataset, TeacherConfig(kind="retrieval"))


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("titles", {"title_decays": (0.4,)}),
        ("titles", {"precision": "float32"}),
        ("titles", {"layers": 6}),
        ("retrieval", {"pooling": "mean"}),
        ("retrieval", {"title_shares": (0.2,)}),
        ("retrieval", {"overlap": 3}),
        ("retrieval", {"max_titles": 20}),
        ("generative", {"writing": {"num_beams": 4}}),
    ],
)
def test_knowledge_of_another_setting_that_its_kind_depends_on_is_refused(
    tmp_path: Path, tiny_dataset: Dataset, kind: str, other: dict[str, object]
) -> None:
    provenance = {"settings": {"kind": kind}}
    save_knowledge(replace(knowledge_about(tiny_dataset), provenance=provenance), tmp_path)
    with pytest.raises(KnowledgeError, match=f"made with teacher.{next(iter(other))} = "):
        load_knowledge(
            tmp_path, tiny_dataset, TeacherConfig.model_validate({"kind": kind, **other})
        )


@pytest.mark.parametrize("other", [{"embedding_model": "another"}, {"api": "chat"}])
def test_knowledge_depends_on_the_api_and_model_of_an_endpoint_and_not_on_its_address(
    tmp_path: Path, tiny_dataset: Dataset, other: dict[str, object]
) -> None:
    """A model keeps its knowledge when its server moves."""
    settings = {"kind": "generative", "model": "openai:a", "endpoint": {"base_url": "http://a/v1"}}
    save_knowledge(
        replace(knowledge_about(tiny_dataset), provenance={"settings": settings}), tmp_path
    )
    moved = {**settings, "endpoint": {"base_url": "http://b/v1"}}
    load_knowledge(tmp_path, tiny_dataset, TeacherConfig.model_validate(moved))
    changed = TeacherConfig.model_validate({**settings, "endpoint": other})
    with pytest.raises(KnowledgeError, match=r"teacher\.endpoint = "):
        load_knowledge(tmp_path, tiny_dataset, changed)


def test_a_summary_contains_no_address(tiny_dataset: Dataset) -> None:
    settings = {"kind": "generative", "endpoint": {"base_url": "http://llm.internal/v1"}}
    knowledge = replace(knowledge_about(tiny_dataset), provenance={"settings": settings})
    assert knowledge.summary.provenance == {"settings": {"kind": "generative"}}


def is_of_a_retrieval_teacher_without_titles(
    folder: Path, dataset: Dataset, settings: dict[str, str]
) -> None:
    """Stores knowledge made with `settings`, and loads it as that of such a teacher."""
    provenance = {"settings": settings}
    save_knowledge(replace(knowledge_about(dataset), provenance=provenance), folder)
    load_knowledge(folder, dataset, TeacherConfig(kind="retrieval", title_shares=(0.0,)))


def test_knowledge_of_before_the_blend_counts_as_one_without_titles(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    is_of_a_retrieval_teacher_without_titles(tmp_path, tiny_dataset, {"kind": "retrieval"})
    with pytest.raises(KnowledgeError, match=r"teacher\.title_shares = \(0\.0,\)"):
        load_knowledge(tmp_path, tiny_dataset, TeacherConfig(kind="retrieval"))


def test_knowledge_of_before_there_were_kinds_is_of_a_retrieval_teacher(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    """That of assets/movielens, for example."""
    is_of_a_retrieval_teacher_without_titles(tmp_path, tiny_dataset, {"model": "smollm2"})
    with pytest.raises(KnowledgeError, match=r"teacher\.kind = 'retrieval'.* has 'titles'"):
        load_knowledge(tmp_path, tiny_dataset, TeacherConfig(kind="titles"))


@pytest.mark.parametrize(("share", "is_refused"), [(0.0, False), (0.2, True)])
def test_title_decays_matter_only_where_titles_have_a_share(
    tmp_path: Path, tiny_dataset: Dataset, share: float, is_refused: bool
) -> None:
    made_by, expected = (
        TeacherConfig(kind="retrieval", title_shares=(share,), title_decays=(decay,))
        for decay in (0.3, 0.5)
    )
    provenance = {"settings": made_by.model_dump()}
    save_knowledge(replace(knowledge_about(tiny_dataset), provenance=provenance), tmp_path)
    with pytest.raises(KnowledgeError, match="title_decays") if is_refused else nullcontext():
        load_knowledge(tmp_path, tiny_dataset, expected)


def test_knowledge_of_a_titles_teacher_does_not_depend_on_max_titles(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    provenance = {"settings": {"kind": "titles"}}
    save_knowledge(replace(knowledge_about(tiny_dataset), provenance=provenance), tmp_path)
    other = TeacherConfig(kind="titles", max_titles=20)
    assert load_knowledge(tmp_path, tiny_dataset, other).provenance == provenance


def test_knowledge_made_with_invalid_settings_is_refused_by_the_setting(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    settings = {"max_titles": 10, "overlap": 10}
    knowledge = replace(knowledge_about(tiny_dataset), provenance={"settings": settings})
    save_knowledge(knowledge, tmp_path)
    with pytest.raises(KnowledgeError, match="10: must be less than max_titles = 10"):
        load_knowledge(tmp_path, tiny_dataset, TeacherConfig())


def test_a_changed_file_is_refused_by_name(tmp_path: Path, tiny_dataset: Dataset) -> None:
    save_knowledge(knowledge_about(tiny_dataset), tmp_path)
    path = tmp_path / "answers-train.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(KnowledgeError, match=r"answers-train\.npz: damaged"):
        load_knowledge(tmp_path, tiny_dataset)


def test_a_missing_file_is_refused_by_name(tmp_path: Path, tiny_dataset: Dataset) -> None:
    save_knowledge(knowledge_about(tiny_dataset), tmp_path)
    (tmp_path / "item_embeddings.npz").unlink()
    with pytest.raises(KnowledgeError, match=r"item_embeddings\.npz: missing"):
        load_knowledge(tmp_path, tiny_dataset)


def test_a_description_without_its_keys_is_refused(tmp_path: Path, tiny_dataset: Dataset) -> None:
    (tmp_path / "knowledge.json").write_text(json.dumps({"provenance": {}}))
    with pytest.raises(KnowledgeError, match="missing keys: dataset_fingerprint, sha256"):
        load_knowledge(tmp_path, tiny_dataset)


@pytest.mark.parametrize("content", ["5", "[1]", '["ab"]', "{"])
def test_a_description_that_is_no_object_is_refused(
    tmp_path: Path, tiny_dataset: Dataset, content: str
) -> None:
    (tmp_path / "knowledge.json").write_text(content)
    with pytest.raises(KnowledgeError, match=r"knowledge\.json: (damaged|missing keys)"):
        load_knowledge(tmp_path, tiny_dataset)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path, tiny_dataset: Dataset) -> None:
    (tmp_path / "knowledge.json").write_text("{}")
    with pytest.raises(KnowledgeError, match="missing; make it with"):
        load_knowledge(tmp_path / "knowledge.json", tiny_dataset)


def test_no_knowledge_at_all_says_how_to_make_it(tmp_path: Path, tiny_dataset: Dataset) -> None:
    with pytest.raises(KnowledgeError, match="distilled-recommender teach CONFIG"):
        load_knowledge(tmp_path / "nowhere", tiny_dataset)


def test_knowledge_with_answers_for_a_refit_loads_as_it_was_and_is_learned_there_alone(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    refits: dict[Protocol, Answers] = {"refit": answers_for(1, 2, 3, 6, 10)}
    knowledge = replace(knowledge_about(tiny_dataset), refits=refits)
    save_knowledge(knowledge, tmp_path)

    loaded = load_knowledge(tmp_path, tiny_dataset)

    assert list(loaded.refits) == ["refit"]
    assert loaded.under("refit").train.rows.tolist() == [1, 2, 3, 6, 10]
    assert loaded.under("refit-all").train.rows.tolist() == [1, 2, 6, 10]
    assert loaded.under("train").taught_hash == knowledge_about(tiny_dataset).taught_hash
    for protocol in REFITS:
        found = loaded.summary.under(protocol).taught_hash
        assert found == loaded.under(protocol).taught_hash
        assert (found == loaded.taught_hash) == (protocol == "refit-all")
