"""What is measured: a student of the size of Amazon's video games, as a bundle.

Where that data lies beside the project the student is trained on it for an epoch. In a clean clone
it has random weights and a catalog of the same size. Weights decide only how often the quick search
of `export.graphs.search` has to be followed by the full one; each report says whose figures it
holds.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import export
from benchmarks.options import Setting
from benchmarks.subjects.processes import ROOT, BenchmarkError
from export.contract.bundle import BundleError, Item, load_bundle, save_bundle
from export.freeze import export_graphs, items_of
from training.cli import say
from training.data.storage import load_dataset
from training.distillation.checkpoint import load_checkpoint
from training.distillation.job import Job
from training.distillation.variants import PLAIN
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
        item_ids: the most popular first.
    """

    bundle: Path
    student_path: Path
    student: Student
    item_ids: tuple[str, ...]
    origin: str


def make_subject(setting: Setting) -> Subject:
    """The subject of the benchmarks, kept; made again where the exporter has changed.

    A quick look does not wait for training.
    """
    experiment, folder = load_experiment(CONFIG), setting.subjects
    source = experiment.data.interactions
    if source is not None and (ROOT / source).exists() and not setting.is_quick:
        student, items = _trained(Workplace(folder / experiment.name))
        return subject_of(student, items, folder / "trained", f"{experiment.name}, one epoch")
    student, items = random_student(NUM_ITEMS), synthetic_items(NUM_ITEMS)
    return subject_of(student, items, folder / "random", f"random weights, {NUM_ITEMS:,} items")


def subject_of(student: Student, items: list[Item], folder: Path, origin: str) -> Subject:
    """The subject that is `student`; its bundle is written to `folder` unless it is there."""
    exporter = [path.read_bytes() for path in sorted(Path(export.__path__[0]).glob("*.py"))]
    weights = [float(each.double().sum()) for each in student.state_dict().values()]
    made_from = fingerprint(origin, len(items), weights, exporter)
    if not _is_made_from(folder, made_from):
        say(f"exporting {origin} to {folder}")
        _save(student, items, folder, {"made_from": made_from, "origin": origin})
    student_path = folder.with_suffix(".pt")
    torch.save(student.state_dict(), student_path)
    by_popularity = sorted(items, key=lambda each: -each.popularity)
    item_ids = tuple(each.item_id for each in by_popularity)
    return Subject(folder, student_path, student, item_ids, origin)


def demo_workplace(setting: Setting) -> Workplace:
    """What `make smoke` has left, where a student is wanted that an LLM has taught.

    Raises:
        BenchmarkError: there is no bundle.
    """
    workplace = Workplace(setting.work / load_experiment(DEMO_CONFIG).name)
    if not workplace.bundle.exists():
        raise BenchmarkError(f"{workplace.bundle}: missing; run `make smoke` first")
    return workplace


def random_student(num_items: int) -> Student:
    """A student as it is before training."""
    torch.manual_seed(SEED)
    return build_student(SHAPE, num_items + 1).eval()


def load_student(path: Path) -> Student:
    """The student of a subject, for those who serve it in torch."""
    state = torch.load(path, weights_only=True)
    student = build_student(SHAPE, len(state["item_table.offsets"]) + 1)
    student.load_state_dict(state)
    return student.eval()


def synthetic_items(num_items: int) -> list[Item]:
    """A catalog whose popularity falls with the index; titles are as long as real ones."""
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
    job = Job(changed, dataset, PLAIN, SEED, None)
    folder = workplace.checkpoints / job.name
    if not is_current(folder, job.stamp):
        job.run(workplace.checkpoints)
    return load_checkpoint(folder).student(), list(items_of(dataset))


def _is_made_from(folder: Path, made_from: str) -> bool:
    try:
        return bool(load_bundle(folder).manifest.provenance.get("made_from") == made_from)
    except BundleError:
        return False


def _save(student: Student, items: list[Item], folder: Path, provenance: dict[str, str]) -> None:
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
