"""Proves that every stage survives `kill -9`: the next run completes and writes the same files.

Each stage runs as a process of its own on a tiny dataset and is killed at random times. Afterwards
it is run once more, and its files are compared with those of a run that was never interrupted. A
run that ends before it is killed does not count: another one is killed in its place.

python -m proofs kills [--kills N] [--seed N]
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from proofs.fixtures.choices import each_of
from proofs.fixtures.places import ROOT
from proofs.record import Figure

PACKAGES = ("export", "service", "training")
STAGES = ("prepare", "teach", "distill", "evaluate", "refit", "export", "publish")
MODULES = {"refit": "training.distill", "export": "export"}  # of the others, `training.STAGE`
OPTIONS = {"distill": ["--workers", "1"], "refit": ["--workers", "1", "--refit"]}
PATIENCE_SECONDS = 1800
MAX_RUNS_PER_KILL = 3
VARYING = frozenset({"seconds", "teach_seconds"})
"""Keys in JSON whose values are durations, which differ between any two runs."""

EXPERIMENT = """
name = "tiny"
[data]
source = "tables"
min_interactions = 2
interactions = "{folder}/interactions.csv"
items = "{folder}/items.csv"
[teacher]
kind = "titles"
model = "{llm}"
precision = "float32"
list_length = 3
[student]
max_history_length = 4
hidden_size = 8
num_layers = 1
[training]
seeds = [0]
batch_size = 8
max_epochs = 2
[distillation]
list_length = 3
"""


@dataclass(frozen=True)
class Road:
    """The folder in which all stages run: an experiment, its tables, a tiny LLM and the results."""

    folder: Path

    @property
    def code(self) -> Path:
        """Folder of the programs: a copy, so that changes to the checkout do not affect runs."""
        return self.folder / "code"

    @property
    def work(self) -> Path:
        """Folder that the stages write into."""
        return self.folder / "work"

    @property
    def bundles(self) -> Path:
        """Folder of published bundles."""
        return self.folder / "bundles"

    def start(self, stage: str) -> "subprocess.Popen[bytes]":
        """Starts a stage and returns its process."""
        bundle = str(self.work / "tiny" / "bundle")
        if stage == "publish":
            words = ["export.contract.publish", bundle, str(self.bundles)]
        else:
            module = MODULES.get(stage, f"training.{stage}")
            words = [module, str(self.folder / "tiny.toml"), "--work", str(self.work)]
            words += OPTIONS.get(stage, [])
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.code,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self, stage: str) -> float:
        """Runs a stage to its end and returns its duration in seconds.

        Raises:
            RuntimeError: the stage failed.
        """
        started = time.monotonic()
        process = self.start(stage)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        if process.returncode:
            raise RuntimeError(f"{stage} ended with {process.returncode}: {errors.decode()[-500:]}")
        return time.monotonic() - started

    def kill(self, stage: str, seconds: float) -> bool:
        """Starts a stage, and kills its processes with SIGKILL after `seconds`.

        Returns:
            Whether the stage was killed; False if it had ended before.
        """
        process = self.start(stage)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        process.communicate()
        return False

    def files(self) -> dict[str, object]:
        """Returns the results of the stages by path: the content of a file, the target of a link.

        Hidden files are left out, and so are durations in JSON.
        """
        return {
            str(path.relative_to(self.folder)): _content(path)
            for root in (self.work, self.bundles)
            for path in sorted(root.rglob("*"))
            if (path.is_symlink() or path.is_file()) and not _is_hidden(path, self.folder)
        }


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _content(path: Path) -> object:
    if path.is_symlink():
        return str(path.readlink())
    if path.suffix == ".json":
        return _without_durations(json.loads(path.read_bytes()))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _array(name, arrays[name]) for name in arrays.files}
    return path.read_bytes()


def _array(name: str, array: NDArray[np.generic]) -> object:
    if name == "facts":  # JSON, see `training.evaluation.rank_files`
        return _without_durations(json.loads(str(array)))
    return str(array.dtype), array.shape, array.tobytes()


def _without_durations(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_durations(each) for key, each in value.items() if key not in VARYING}
    return [_without_durations(each) for each in value] if isinstance(value, list) else value


def lay_out(folder: Path) -> Road:
    """Fills `folder` with a copy of the programs, the tables, the experiment and the tiny LLM."""
    road = Road(folder)
    for each in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / each, road.code / each, ignore=ignore)
    titles = ("Alien", "Brazil", "Clue", "Dune", "Eraserhead", "Fargo")
    items = [f"{number},{title}" for number, title in enumerate(titles)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *items]) + "\n")
    rows = [f"u{row % 8},{(row * 5 + row // 8) % 6},{row}" for row in range(80)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    _save_llm(folder / "llm")
    text = EXPERIMENT.format(folder=folder, llm=folder / "llm")
    (folder / "tiny.toml").write_text(text)
    return road


def _save_llm(folder: Path) -> None:
    """Saves a Llama of two layers with random weights, and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    ).save_pretrained(folder)


def prove(
    *,
    kills: Annotated[int, Parameter(help="Kills of each stage.")] = 20,
    seed: Annotated[int, Parameter(help="Decides when the kills come.")] = 0,
    stages: Annotated[
        tuple[str, ...],
        Parameter(consume_multiple=1, help="The stages to kill.", validator=each_of(STAGES)),
    ] = STAGES,
) -> Iterator[Figure]:
    """Kill each stage at random times, run it once more, and compare its files."""
    chance = random.Random(seed)  # noqa: S311 - draws times, no secrets
    with TemporaryDirectory() as name:
        road = lay_out(Path(name).resolve())
        for stage in STAGES[: 1 + max(map(STAGES.index, stages))]:
            if stage in stages:
                yield from kill_figures(road, stage, kills, chance)
            else:
                road.finish(stage)


def kill_figures(road: Road, stage: str, kills: int, chance: random.Random) -> Iterator[Figure]:
    """Kills a stage `kills` times, and yields that number and how many files differ afterwards."""
    before = road.folder.with_name(f"{road.folder.name}-before")
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(road.folder, before, symlinks=True)
    road.finish(stage)  # a first run is slower: it fills the caches of the system
    _restore(road, before)
    seconds = road.finish(stage)
    files = road.files()
    differing: list[str] = []
    num_killed = num_runs = 0
    while num_killed < kills and num_runs < MAX_RUNS_PER_KILL * kills:
        num_runs += 1
        _restore(road, before)
        num_killed += road.kill(stage, chance.uniform(0, seconds))
        road.finish(stage)
        differing += _differences(files, road.files())
    shutil.rmtree(before)
    for each in sorted(set(differing)):
        print(f"{stage}: {each} differs")  # noqa: T201 - for who looks for the cause
    yield Figure(f"{stage}: killed", "runs", num_killed, at_least=kills)
    yield Figure(
        f"{stage}: files that differ after the next run", "files", len(differing), at_most=0
    )


def _restore(road: Road, before: Path) -> None:
    for name in (road.work.name, road.bundles.name):
        shutil.rmtree(road.folder / name, ignore_errors=True)
        if (before / name).exists():
            shutil.copytree(before / name, road.folder / name, symlinks=True)


def _differences(one: dict[str, object], other: dict[str, object]) -> Sequence[str]:
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
