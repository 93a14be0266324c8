"""Proves that a teacher's work in parts survives `kill -9` and gives the bytes of one process.

Several processes of `teach --part` share one folder. All but the last are killed while they compute
a shard; the last one completes the work, and `teach --store` makes the knowledge.

python -m proofs teach_parts [--processes N] [--rows N] [--layers N]
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.prepare import write_tables
from proofs.record import Figure
from proofs.teach_parts.killed_crew import KilledCrew, succeed, work_of, workplace_of
from training import prepare, teach
from training.knowledge import DESCRIPTION_NAME
from training.settings.experiment import load_experiment
from training.workplace import Workplace, knowledge_folder


def prove(
    *,
    processes: int = 3,
    rows: int = 20_000,
    model: str = "smollm2",
    layers: int = 4,
    published_before_kill: int = 1,
    last_apart: bool = True,
) -> Iterable[Figure]:
    """Yields what was lost by the killed processes, and how the knowledge differs.

    Args:
        processes: number of parts; all but the last are killed.
        rows: number of random interactions that the teacher reads.
        model: the LLM, as in `teacher.model`.
        layers: number of first layers of the LLM.
        published_before_kill: number of shards that a process has completed before it is killed.
        last_apart: whether the last part is a process that starts with the others; if not, it
            begins in this process after the kills.

    Raises:
        RuntimeError: a program fails, or takes too long.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = write_config(folder, rows, model, layers)
        alone = work_of(folder, "alone")
        succeed(prepare.main([str(config), "--work", str(alone)]))
        began = time.monotonic()
        succeed(teach.main([str(config), "--work", str(alone)]))
        yield Figure("time of one process", "s", time.monotonic() - began)
        crew = KilledCrew(folder, config, alone, processes, published_before_kill)
        began = time.monotonic()
        crew.run(last_apart=last_apart)
        yield Figure("time of all parts, on the same machine", "s", time.monotonic() - began)
        yield from crew.figures()
        merged = crew.merged()
        yield Figure("shards computed when merging", "", merged, at_most=0)
        works = (workplace_of(alone), workplace_of(work_of(folder, "merged")))
        differing = differing_files(config, *works)
        yield Figure("files that differ from those of one process", "", differing, at_most=0)


def write_config(folder: Path, rows: int, model: str, layers: int) -> Path:
    """Writes random tables of `rows` interactions and a config with a retrieval teacher.

    `model` and `layers`: the LLM and the number of its first layers. Returns the config's path.
    """
    config = write_tables(folder, rows, seed=1)
    with config.open("a", encoding="utf-8") as file:
        file.write(
            f'[teacher]\nkind = "retrieval"\nmodel = "{model}"\nlayers = {layers}\n'
            'precision = "float32"\nepochs = 1\ntokens_per_batch = 512\n'
        )
    return config


def differing_files(config: Path, *works: Workplace) -> int:
    """Returns the number of files of two knowledge folders that differ, descriptions excepted."""
    experiment = load_experiment(config)
    one, other = (_files(knowledge_folder(experiment, work)) for work in works)
    return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())


def _files(folder: Path) -> Mapping[str, bytes]:
    names: Sequence[Path] = [each for each in folder.iterdir() if each.name != DESCRIPTION_NAME]
    return {each.name: each.read_bytes() for each in names}
