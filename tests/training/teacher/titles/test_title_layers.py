"""Controls of `training.ladder` that use title embeddings."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.teacher.conftest import run_teach
from training.data.dataset import Dataset, Split
from training.evaluation.baselines.title_neighbours import TitleNeighbours
from training.evaluation.yardstick import evaluate, ranker_of
from training.ladder import __main__ as ladder
from training.ladder.plan.rows import TITLES_ROW
from training.teacher.llm.language_model import load_language_model
from training.teacher.llm.prompts import prompt_builder
from training.teacher.llm.title_embeddings import embed_titles


def test_title_embeddings_of_the_first_layers_are_controls_of_the_ladder(
    prepared: Callable[[str], Path],
    chain_dataset: Dataset,
    tiny_language_model_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = run_teach(prepared('kind = "titles"'))
    with path.open("a") as file:
        file.write("[ladder]\ntitle_layers = [1]\nnum_resamples = 100\n")
    out = path.parent / "results"
    fixed = ["--work", str(path.parent / "work"), "--out", str(out), "--workers", "1"]
    narrow = ["--students", "caser", "--rows", "CE", "--seeds", "0"]

    assert ladder.main([str(path), *fixed, *narrow]) == 0

    one_layer = load_language_model(str(tiny_language_model_path), layers=1)
    builder = prompt_builder(one_layer.tokenizer, chain_dataset.catalog)
    embeddings = embed_titles(one_layer, builder, tokens_per_batch=4_096)
    ranker = ranker_of(TitleNeighbours(chain_dataset, embeddings), chain_dataset)
    found = evaluate(ranker, chain_dataset, chain_dataset.example_rows(Split.TEST)).metrics
    with (out / "chain.csv").open() as lines:
        means = {
            line["teacher"]: float(line["mean"])
            for line in csv.DictReader(lines)
            if (line["row"], line["split"], line["targets"]) == (TITLES_ROW, "test", "all")
            and line["metric"] == "NDCG@20"
        }
    assert means["first 1 layers"] == pytest.approx(found["NDCG@20"], abs=1e-6)
    assert means["first 1 layers"] != means["titles"]

    capsys.readouterr()
    path.write_text(path.read_text().replace("title_layers = [1]", "title_layers = [1, 2]"))
    assert ladder.main([str(path), *fixed, *narrow, "--kept"]) == 0
    assert (
        "left out: titles embedded by the first 2 layers, which have no stored ranks"
        in capsys.readouterr().out
    )
    assert "first 1 layers" in (out / "chain.csv").read_text()
