import importlib
import re
import tomllib
from functools import reduce
from pathlib import Path

from training.settings.experiment import Experiment

ROOT = Path(__file__).parents[2]
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
PLACE = re.compile(r"`([\w.]+)`(?: and `([\w.]+)`)? in\s+`(training/[\w/]+)\.py`")


def places() -> list[tuple[str, str]]:
    """Names in the document with the modules they are said to be in."""
    found = PLACE.findall(METHOD)
    return [
        (name, path.replace("/", "."))
        for first, second, path in found
        for name in filter(None, (first, second))
    ]


def test_every_function_that_the_document_names_is_where_it_says() -> None:
    for name, module in places():
        reduce(getattr, name.split("."), importlib.import_module(module))

    assert len(places()) > 30


def test_every_file_that_the_document_names_stands_beside_a_name_in_it_or_has_settings() -> None:
    named = {path.replace("/", ".") for path in re.findall(r"`(training/[\w/]+)\.py`", METHOD)}

    of_settings = {"training.settings.experiment", "training.settings.teacher"}
    assert named - {module for _, module in places()} == of_settings


def test_every_setting_that_the_document_names_exists() -> None:
    settings = re.findall(
        r"`(data|teacher|student|training|distillation|ladder)\.(\w+)[` ]", METHOD
    )

    for section, key in settings:
        assert key in type(getattr(experiment(), section)).model_fields, f"{section}.{key}"
    assert len(settings) > 12


def experiment() -> Experiment:
    return Experiment.model_validate(tomllib.loads('name = "x"\n[data]\nsource = "movielens"\n'))
