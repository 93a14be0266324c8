"""Teach: the LLM reads every history and answers it, the folder `knowledge` of an experiment.

python -m training.teach configs/movielens.toml
"""

import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from training.config import Experiment
from training.data.dataset import Dataset, Split
from training.data.storage import load_dataset
from training.evaluation.yardstick import LIST_LENGTH, SELECTION_METRIC
from training.program import Workplace, knowledge_folder, program_parser, run, say
from training.provenance import commit, hardware
from training.stage import fingerprint, is_current, publish
from training.teacher.answering import answer
from training.teacher.fitting import Fit, fit_matcher
from training.teacher.knowledge import Answers, Knowledge, save_knowledge
from training.teacher.matching import Matcher, load_matcher, save_matcher
from training.teacher.prompts import PROMPT_VERSION
from training.teacher.reading import Reading, read_everything


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    parser = program_parser("training.teach", "Let the LLM teacher read and answer every history.")
    parser.add_argument("--again", action="store_true", help="even if the knowledge is current")
    return run(teach, parser, arguments)


def teach(experiment: Experiment, workplace: Workplace, options: Namespace) -> None:
    """Writes the teacher's knowledge, unless it is there and current."""
    dataset = load_dataset(workplace.dataset)
    folder = knowledge_folder(experiment, workplace)
    stamp = fingerprint(PROMPT_VERSION, experiment.teacher.model_dump(), dataset.fingerprint)
    if is_current(folder, stamp) and not options.again:
        say(f"{folder} is current, nothing to do")
        return
    reading = read_everything(dataset, experiment.teacher, workplace.reading)
    fitting = time.monotonic()
    fit = fit_matcher(dataset, reading.states, reading.title_embeddings, experiment.teacher)
    provenance = {
        **_origin(experiment, reading, fit),
        "seconds": round(reading.seconds + time.monotonic() - fitting),
    }
    with publish(folder, stamp) as building:
        matcher = _as_saved(fit.matcher, reading, building)
        save_knowledge(_knowledge(dataset, reading, matcher, experiment, provenance), building)
    say(f"{folder}: validation {SELECTION_METRIC} {fit.validation[SELECTION_METRIC]:.4f}")


def _as_saved(matcher: Matcher, reading: Reading, folder: Path) -> Matcher:
    """Saves `matcher` and reads it back: what is stored is what the teacher's server answers."""
    save_matcher(matcher, folder)
    return load_matcher(folder, torch.from_numpy(reading.title_embeddings).half().float())


def _knowledge(
    dataset: Dataset,
    reading: Reading,
    matcher: Matcher,
    experiment: Experiment,
    provenance: dict[str, object],
) -> Knowledge:
    def answers(split: Split, list_length: int) -> Answers:
        chosen = reading.states.of(dataset.example_rows(split))
        return answer(matcher, dataset, chosen, list_length)

    return Knowledge(
        dataset_fingerprint=dataset.fingerprint,
        train=answers(Split.TRAIN, experiment.teacher.list_length),
        validation=answers(Split.VALIDATION, LIST_LENGTH),
        test=answers(Split.TEST, LIST_LENGTH),
        item_embeddings=np.ascontiguousarray(reading.title_embeddings),
        provenance=provenance,
    )


def _origin(experiment: Experiment, reading: Reading, fit: Fit) -> dict[str, object]:
    command = [f"{Path(sys.argv[0]).name}", *sys.argv[1:]]
    return {
        "teacher": "retrieval",
        "prompt_version": PROMPT_VERSION,
        "settings": experiment.teacher.model_dump(),
        "tokens": reading.tokens,
        "best_epoch": fit.best_epoch,
        "validation": fit.validation,
        "command": shlex.join(command),
        "commit": commit(),
        "hardware": hardware(),
    }


if __name__ == "__main__":
    sys.exit(main())
