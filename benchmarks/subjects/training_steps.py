"""Takes training steps on request and reports their CPU time: one code version, one process.

The program also runs the code of an earlier commit, so it imports nothing but `training`, by the
name that a module has in the version at hand. For each line `BEGIN COUNT` of the standard input, it
takes `COUNT` steps from batch number `BEGIN` on, and writes the mean CPU seconds of one.
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

# For each function, the modules that have it: now, and in the earlier commit.
MODULES = {
    "load_experiment": ("training.settings.experiment", "training.config"),
    "keep_freed_memory": ("training.compute.allocator", "training.memory"),
    "load_dataset": ("training.data.storage",),
    "Job": ("training.distillation.job",),
}


def find(name: str) -> Any:
    """Returns the function `name` of the first of its modules that exists.

    Raises:
        ModuleNotFoundError: none of them exists.
    """
    *earlier, last = MODULES[name]
    for module in earlier:
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError:
            continue
    return getattr(import_module(last), name)


def answer(requests: Iterable[str], trainer: Any, batches: Sequence[Any]) -> Iterable[float]:
    """Yields the mean CPU seconds of a step for each request; batches repeat after the last."""
    for request in requests:
        begin, count = map(int, request.split())
        began = time.process_time()
        for number in range(begin, begin + count):
            trainer.step(batches[number % len(batches)])
        yield (time.process_time() - began) / count


def main(config: str, dataset: str, settings: str) -> None:
    """Trains the teacher-free student of the file `config`, with other `settings` of training.

    `dataset` is the folder of a dataset, `settings` a JSON object.
    """
    import_module("torch").set_num_threads(1)
    find("keep_freed_memory")()
    experiment = find("load_experiment")(Path(config))
    training = experiment.training.model_copy(update=json.loads(settings))
    experiment = experiment.model_copy(update={"training": training})
    trainer = find("Job")(
        experiment, find("load_dataset")(Path(dataset)), "plain", 0, None
    ).trainer()
    trainer.student.train()
    for seconds in answer(sys.stdin, trainer, trainer.windows.epoch(0, 0)):
        sys.stdout.write(f"{seconds}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
