"""The bundle that images and `serve --example` start with tells what the recorded demo prints."""

import json
import re

from distilled_recommender.files import BUNDLE
from handbook.terminal import text_of
from tests.handbook.sources.measured import ROOT
from tests.handbook.sources.quantity_sources import README

RECORDING = text_of((ROOT / "docs" / "demo.svg").read_text(encoding="utf-8"))
MANIFEST = json.loads((ROOT / BUNDLE / "manifest.json").read_text(encoding="utf-8"))


def test_the_baselines_of_the_example_are_those_that_the_demo_prints() -> None:
    wanted = ("", "test", "all", "NDCG@20")
    keys = ("student", "split", "targets", "metric")
    shipped = {
        each["row"]: f"{each['mean']:.4f}"
        for each in MANIFEST["figures"]
        if tuple(map(each.get, keys)) == wanted
    }
    columns = [re.split(r"  +", line.strip()) for line in RECORDING.splitlines()]
    printed = {name: cells[-1] for name, *cells in columns if len(cells) == 9}
    students = {name for name, mean in printed.items() if "±" in mean}
    assert students == {"SASRec CE with pair bonus", "SASRec DLLM2Rec with pair bonus"}
    assert shipped == {name: printed[name] for name in printed.keys() - students}


def test_the_verdict_of_the_example_is_the_one_that_the_demo_prints() -> None:
    printed = " ".join(RECORDING.split())
    verdict, of_all_seeds, _ = MANIFEST["verdict"].partition(" Whether the teacher helped")
    assert verdict.startswith("On 8,944 test examples")
    assert of_all_seeds, "`evaluate` ends in another sentence there"
    assert f"{verdict} Over 3 seeds" in printed


def test_the_example_bundle_has_a_row_of_the_student_without_a_teacher() -> None:
    rows = {(each["row"], each["student"]) for each in MANIFEST["figures"]}
    assert rows >= {("CE with pair bonus", "SASRec"), ("DLLM2Rec with pair bonus", "SASRec")}


def test_the_answer_in_the_readme_is_one_of_the_example_bundle() -> None:
    readme = (ROOT / README).read_text(encoding="utf-8")
    assert re.findall(r'"model_version": "(\w+)"', readme) == [MANIFEST["model_version"]]
