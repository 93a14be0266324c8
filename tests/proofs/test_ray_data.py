"""The programs of docs/how-to/ray.md, and a short form of `python -m proofs ray_data`."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from proofs.ray_data import prove
from proofs.ray_data.programs import program_of_page
from tests.training.teacher.conftest import random_llama, saved


@pytest.mark.parametrize("name", ["recommend_on_ray.py", "teach_on_ray.py"])
def test_the_page_has_each_program_whole(name: str) -> None:
    program = compile(program_of_page(name), name, "exec")  # a part of it would be no program
    assert "ray" in program.co_names


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is no dependency of this project")
def test_ray_gives_the_answers_and_the_knowledge_of_one_machine(tmp_path: Path) -> None:
    model = str(saved(random_llama, tmp_path / "llm"))
    figures = list(
        prove(
            python=sys.executable,
            histories=20_000,
            rows=1_500,
            model=model,
            layers=1,
            published_before_kill=0,
        )
    )
    assert [each.name for each in figures if not each.holds] == []
