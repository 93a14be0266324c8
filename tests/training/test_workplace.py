from pathlib import Path
from typing import get_args

from training.settings.teacher import TeacherKind
from training.workplace import Workplace


def test_knowledge_lies_in_a_folder_of_its_teachers_kind_and_of_retrieval_in_one_without() -> None:
    folders = [Workplace(Path("shop")).knowledge_of(kind) for kind in get_args(TeacherKind)]

    assert [str(each) for each in folders] == [
        "shop/knowledge",
        "shop/knowledge-generative",
        "shop/knowledge-titles",
        "shop/knowledge-tf-idf",
        "shop/knowledge-word-vectors",
        "shop/knowledge-fusion",
        "shop/knowledge-fusion-without-titles",
    ]
