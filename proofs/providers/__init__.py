"""Proves that another execution provider ranks as the CPU's does, and tells the time of each.

A bundle is opened as the service opens it, in the Python of an environment that has another build
of onnxruntime. Both providers of that environment answer real histories of MovieLens, and so does
the CPU's provider of this environment.

python -m proofs providers --python PYTHON [--provider NAME] [--bundle FOLDER]

An environment for OpenVINO: the packages of locks/service.txt, with onnxruntime-openvino in place
of onnxruntime.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from distilled_recommender.files import BUNDLE, carried
from proofs.fixtures.agreement import Agreement, TopList
from proofs.fixtures.places import ROOT
from proofs.record import Figure
from training.data.sources.movielens import read_movielens

CPU = "CPUExecutionProvider"
PROGRAM = Path(__file__).with_name("ranking_program.py")
TIE = 1e-5
K = 20
LONGEST = 500  # items of a history, fewer than a request may have


@dataclass(frozen=True)
class Lists:
    """Top lists after histories, by one graph and provider.

    Attributes:
        items: `[histories, K]`, item ids, best first.
        scores: the scores of `items`.
        milliseconds: `[histories]`, the time of each answer.
    """

    items: np.ndarray[Any, np.dtype[np.str_]]
    scores: np.ndarray[Any, np.dtype[np.float64]]
    milliseconds: np.ndarray[Any, np.dtype[np.float64]]


def prove(
    *,
    python: str,
    provider: str = "OpenVINOExecutionProvider",
    histories: int = 1_000,
    bundle: Path | None = None,
) -> Iterator[Figure]:
    """Yields how lists by two execution providers differ, and the time of each.

    Args:
        python: interpreter of an environment whose onnxruntime has `provider`.
        provider: name of the execution provider to compare with the CPU's.
        histories: number of histories.
        bundle: the bundle, over MovieLens' items; by default the one of the repository.

    Raises:
        RuntimeError: the program in the other environment fails.
    """
    folder = bundle or carried(BUNDLE)
    asked = histories_of_movielens(histories)
    with TemporaryDirectory() as name:
        path = Path(name) / "histories.json"
        path.write_text(json.dumps(asked), encoding="utf-8")
        runs = {
            "this environment's CPU": answers(sys.executable, CPU, folder, path),
            "CPU": answers(python, CPU, folder, path),
            provider: answers(python, f"{provider}, {CPU}", folder, path),
        }
    yield Figure("histories", "", len(asked), at_least=histories, at_most=histories)
    for graph, expected in runs["this environment's CPU"].items():
        for who, found in runs.items():
            milliseconds = found[graph].milliseconds
            yield Figure(f"{graph}, {who}: median", "ms", float(np.median(milliseconds)))
            yield Figure(f"{graph}, {who}: p99", "ms", float(np.percentile(milliseconds, 99)))
        yield from differences(f"{graph}, {provider}", expected, runs[provider][graph])


def histories_of_movielens(number: int) -> list[list[str]]:
    """Returns the last up to `LONGEST` item ids of `number` histories, oldest first.

    Of each user, there are two: all interactions but the last, and a random part from their begin.
    """
    raw, random = read_movielens(), np.random.default_rng(0)
    histories: list[list[str]] = []
    for begin, end in zip(raw.user_offsets, raw.user_offsets[1:], strict=False):
        items = [raw.catalog.item_ids[index - 1] for index in raw.item_indices[begin : end - 1]]
        histories += [items[-LONGEST:], items[: int(random.integers(1, len(items)))][-LONGEST:]]
    return histories[:number]


def answers(python: str, providers: str, bundle: Path, histories: Path) -> Mapping[str, Lists]:
    """Lets an interpreter rank for all histories; returns the lists of each graph by its name.

    Raises:
        RuntimeError: the program fails.
    """
    words = [python, str(PROGRAM), providers, str(bundle), str(histories), str(K)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{python} with {providers} ended with code {ran.returncode}")
    found = json.loads(ran.stdout.splitlines()[-1])  # a provider may write lines before
    return {graph: Lists(*map(np.array, lists)) for graph, lists in found.items()}


def differences(name: str, expected: Lists, found: Lists) -> Iterator[Figure]:
    """Compares lists by the rule of `proofs.fixtures.agreement`; `TIE` is its tolerance."""
    agreement = Agreement()
    pairs = zip(expected.items, expected.scores, found.items, found.scores, strict=True)
    for items, scores, its_items, its_scores in pairs:
        one, other = TopList(items, scores), TopList(its_items, its_scores)
        agreement.add(one, other, TIE)
    yield Figure(f"{name}: lists that differ but for ties", "", agreement.others, at_most=0)
    yield Figure(f"{name}: lists with ties in another order", "", agreement.ties)
    gap = agreement.difference
    yield Figure(f"{name}: largest difference of an item's score", "", gap, at_most=TIE)
