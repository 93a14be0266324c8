"""Makes the subject of most benchmarks: a bundle with as many items as Amazon's video games.

If the checkout has that dataset, the student is trained on it for one epoch. Otherwise it has
random weights and a synthetic catalog of the same size. The two differ in speed: a trained student
has a pair bonus (`training.students.pair_bonus`), which the other has not, and the weights decide
for which share of queries the quick search (`export.graphs.proven.search`) finds no proof. Each
report names the bundle that was measured.
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
from training.compute.tensor_file import read_tensors, write_tensors
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
    """A bundle to measure, with its student and catalog.

    Attributes:
        bundle: folder of the bundle.
        student_path: file with the student's weights, see `training.compute.tensor_file`.
        student: the student in torch.
        item_ids: ids of the catalog, most popular item first.
        origin: phrase for the report that says where the weights come from.
    """

    bundle: Path
    student_path: Path
    student: Student
    item_ids: tuple[str, ...]
    origin: str


def make_subject(options: Options) -> Subject:
    """Makes the subject; exports its bundle only if that is missing or the exporter has changed.

    In a quick run the weights are always random.
    """
    experiment, folder = load_experiment(CONFIG), options.bundles
    source = experiment.data.interactions
    if source is not None and (ROOT / source).exists() and not options.is_quick:
        student, items = _trained(Workplace(folder / experiment.name))
        return export_subject(student, items, folder / "trained", f"{experiment.name}, one epoch")
    student, items = random_student(NUM_ITEMS), synthetic_items(NUM_ITEMS)
    return export_subject(student, items, folder / "random", f"random weights, {NUM_ITEMS:,} items")


def export_subject(student: Student, items: list[Item], folder: Path, origin: str) -> Subject:
    """Makes a subject of `student`; exports its bundle to `folder`, unless that is up to date.

    `items` is the catalog. `origin` says where the weights come from, for the report.
    """
    exporter = [path.read_bytes() for path in sorted(Path(export.__path__[0]).rglob("*.py"))]
    weights = [float(each.double().sum()) for each in student.state_dict().values()]
    made_from = fingerprint(origin, len(items), weights, exporter)
    if not _was_made_from(folder, made_from):
        say(f"exporting {origin} to {folder}")
        _save_bundle(student, items, folder, {"made_from": made_from, "origin": origin})
    student_path = folder.with_suffix(".safetensors")
    write_tensors(student_path, student.state_dict())
    by_popularity = sorted(items, key=lambda each: -each.popularity)
    item_ids = tuple(each.item_id for each in by_popularity)
    return Subject(folder, student_path, student, item_ids, origin)


def demo_workplace(options: Options) -> Workplace:
    """Returns the folders of the MovieLens experiment, whose student an LLM has taught.

    The command `make smoke` fills these folders.

    Raises:
        BenchmarkError: there is no bundle.
    """
    workplace = Workplace(options.work / load_experiment(DEMO_CONFIG).name)
    if not workplace.bundle.exists():
        raise BenchmarkError(f"{workplace.bundle}: missing; run `make smoke` first")
    return workplace


def random_student(num_items: int) -> Student:
    """Returns a student for `num_items` items, with random weights from a fixed seed."""
    torch.manual_seed(SEED)
    return build_student(SHAPE, num_items + 1).eval()


def load_student(path: Path) -> Student:
    """Loads the student whose weights `export_subject` saved to the file `path`."""
    state = read_tensors(path)
    student = build_student(SHAPE, len(state["item_table.offsets"]) + 1)
    student.load_state_dict(state)
    return student.eval()


def synthetic_items(num_items: int) -> list[Item]:
    """Returns a synthetic catalog, most popular item first, with titles of realistic length."""
    return [synthetic_item(number, num_items) for number in range(num_items)]


def synthetic_item(number: int, num_items: int) -> Item:
    """Returns the item `number`, from 0, of a synthetic catalog."""
    title = f"The synthetic game number {number}, standard edition"
    return Item(f"B{number:09d}", title, num_items - number)


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
            tables=graphs.tables,
            student="sasrec",
            max_history_length=student.max_history_length,
            metrics={},
            parity_error=graphs.parity_error,
            provenance=provenance,
            scorer=graphs.scorer,
        )
