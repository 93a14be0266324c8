"""The subject of most benchmarks: a bundle with a catalog as large as Amazon's video games.

Where a checkout has that data, the student is trained on it for one epoch. Without the data it has
random weights and a catalog of the same size. The weights only decide how often the quick search of
`export.graphs.search` has to be followed by the full one. Each report names the bundle it measured.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import export
from benchmarks.errors import BenchmarkError
from benchmarks.options import ROOT, Options
from export.contract.bundle import BundleError, Item, load_bundle, save_bundle
from export.freeze import export_graphs, items_of
from training.cli import say
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.distillation.job import Job
from training.distillation.variants import TEACHER_FREE
from training.prepare import prepare
from training.settings.experiment import load_experiment
from training.settings.student import StudentConfig
from training.stage import fingerprint, is_current
from training.students.registry import build_student
from training.students.student import Student
from training.workplace import Workplace

CONFIG = ROOT / "configs" / "amazon-games.toml"
DEMO_CONFIG = ROOT / "configs" / "movielens.toml"
NUM_ITEMS = 17_332
SHAPE = StudentConfig()  # SASRec: history 50, hidden 64, 2 layers
SEED = 0


@dataclass(frozen=True)
class Subject:
    """A bundle, the student inside it, and its catalog.

    Attributes:
        bundle: folder of the bundle.
        student_path: file with the student's weights (a torch state dictionary).
        item_ids: ids of the catalog, the most popular first.
        origin: where the weights come from, for the report.
    """

    bundle: Path
    student_path: Path
    student: Student
    item_ids: tuple[str, ...]
    origin: str


def make_subject(options: Options) -> Subject:
    """Returns the subject, exported again if the exporter has changed since it was saved.

    A quick run does not train it: the weights are random then.
    """
    experiment, folder = load_experiment(CONFIG), options.bundles
    source = experiment.data.interactions
    if source is not None and (ROOT / source).exists() and not options.is_quick:
        student, items = _trained(Workplace(folder / experiment.name))
        return export_subject(student, items, folder / "trained", f"{experiment.name}, one epoch")
    student, items = random_student(NUM_ITEMS), synthetic_items(NUM_ITEMS)
    return export_subject(student, items, folder / "random", f"random weights, {NUM_ITEMS:,} items")


def export_subject(student: Student, items: list[Item], folder: Path, origin: str) -> Subject:
    """Returns `student` as a subject; exports its bundle to `folder` unless it is up to date."""
    exporter = [path.read_bytes() for path in sorted(Path(export.__path__[0]).rglob("*.py"))]
    weights = [float(each.double().sum()) for each in student.state_dict().values()]
    made_from = fingerprint(origin, len(items), weights, exporter)
    if not _was_made_from(folder, made_from):
        say(f"exporting {origin} to {folder}")
        _save_bundle(student, items, folder, {"made_from": made_from, "origin": origin})
    student_path = folder.with_suffix(".pt")
    torch.save(student.state_dict(), student_path)
    by_popularity = sorted(items, key=lambda each: -each.popularity)
    item_ids = tuple(each.item_id for each in by_popularity)
    return Subject(folder, student_path, student, item_ids, origin)


def demo_workplace(options: Options) -> Workplace:
    """Returns the folder of `make smoke`, for benchmarks of a student that an LLM has taught.

    Raises:
        BenchmarkError: the folder has no bundle.
    """
    workplace = Workplace(options.work / load_experiment(DEMO_CONFIG).name)
    if not workplace.bundle.exists():
        raise BenchmarkError(f"{workplace.bundle}: missing; run `make smoke` first")
    return workplace


def random_student(num_items: int) -> Student:
    """Returns an untrained student for a catalog of `num_items`, always with the same weights."""
    torch.manual_seed(SEED)
    return build_student(SHAPE, num_items + 1).eval()


def load_student(path: Path) -> Student:
    """Loads the student that `export_subject` saved to the file `path`."""
    state = torch.load(path, weights_only=True)
    student = build_student(SHAPE, len(state["item_table.offsets"]) + 1)
    student.load_state_dict(state)
    return student.eval()


def synthetic_items(num_items: int) -> list[Item]:
    """Returns a catalog whose popularity falls with the index, with titles of realistic length."""
    return [
        Item(f"B{number:09d}", f"The synthetic game number {number}, standard edition", count)
        for number, count in enumerate(range(num_items, 0, -1))
    ]


def _trained(workplace: Workplace) -> tuple[Student, list[Item]]:
    experiment = load_experiment(CONFIG)
    prepare(experiment, workplace)
    dataset = load_dataset(workplace.dataset)
    short = experiment.training.model_copy(update={"batch_size": 256, "max_epochs": 1})
    changed = experiment.model_copy(update={"training": short, "student": SHAPE})
    job = Job(changed, dataset, TEACHER_FREE, SEED, None)
    folder = workplace.checkpoints / job.name
    if not is_current(folder, job.stamp):
        job.run(workplace.checkpoints)
    return load_checkpoint(folder).student(), list(items_of(dataset))


def _was_made_from(folder: Path, made_from: str) -> bool:
    try:
        return bool(load_bundle(folder).manifest.provenance.get("made_from") == made_from)
    except BundleError:
        return False


def _save_bundle(
    student: Student, items: list[Item], folder: Path, provenance: dict[str, str]
) -> None:
    with TemporaryDirectory() as scratch:
        graphs = export_graphs(student, Path(scratch), num_random=100)
        save_bundle(
            folder,
            graphs.model,
            items,
            common_case=graphs.common_case,
            student="sasrec",
            max_history_length=student.max_history_length,
            metrics={},
            parity_error=graphs.parity_error,
            provenance=provenance,
        )
