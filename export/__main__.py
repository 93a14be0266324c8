"""Exports the best distilled student of an experiment as a bundle, `work/<name>/bundle`.

python -m export configs/movielens.toml
python -m export configs/movielens.toml --publish bundles   # services load it without a restart
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from export.contract.bundle import BundleError, BundleLayout, Manifest, load_bundle
from export.contract.folders import finish_replacement, readable_folder
from export.contract.publish import publish
from export.figures import Comparison, RowName, measure, metrics_of, teacher_evaluations
from export.freeze import freeze
from training.cli import run, say
from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.distillation.checkpoint import WEIGHTS_NAME, Checkpoint, best_on_validation
from training.distillation.job import current_checkpoints, jobs_of
from training.distillation.variants import DISTILLED, VARIANTS
from training.errors import ConfigError
from training.evaluation.baselines.registry import BASELINES_VERSION
from training.evaluation.baselines.runs import baseline_evaluations
from training.evaluation.row_names import row_name
from training.evaluation.yardstick import ranker_of
from training.knowledge import Knowledge, load_knowledge
from training.provenance import commit, without_addresses
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Work
from training.settings.student import STUDENT_NAMES
from training.stage import fingerprint
from training.students.scorer import StudentScorer
from training.workplace import Workplace, knowledge_folder, open_experiment

RULES_VERSION = 8  # increment when a code change alters the bundle of an unchanged checkpoint
SHOWN_METRICS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20")


Bundles = Annotated[
    Path | None,
    Parameter(
        name="--publish",
        help="Folder of bundles: copy the bundle there and make it the one that services load.",
    ),
]


def command(config: Config, /, *, work: Work = WORK, bundles: Bundles = None) -> None:
    """Export the best distilled student as a bundle."""
    experiment, workplace = open_experiment(config, work)
    export(experiment, workplace)
    if bundles is not None:
        _publish(workplace.bundle, bundles)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments` (None: those of the process); returns the exit code."""
    return run(command, "export", arguments)


def _publish(bundle: Path, folder: Path) -> None:
    try:
        link = publish(bundle, folder)
    except (BundleError, OSError) as error:
        raise ConfigError(f"--publish {folder}: {error}") from error
    say(f"{link.path} is {link.bundle} now")


def export(experiment: Experiment, workplace: Workplace) -> None:
    """Writes the bundle of the experiment's best distilled checkpoint, unless it is up to date.

    The best checkpoint is the one with the highest validation NDCG@20.
    """
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(knowledge_folder(experiment, workplace), dataset, experiment.teacher)
    jobs = jobs_of(experiment, dataset, knowledge, [DISTILLED])
    checkpoints = current_checkpoints(jobs, workplace.checkpoints)
    checkpoint = best_on_validation(checkpoints, DISTILLED)
    weights_sha256 = _weights_hash(workplace.checkpoints / checkpoint.name)
    made_from = fingerprint(
        RULES_VERSION, BASELINES_VERSION, dataset.fingerprint, checkpoint.name, weights_sha256
    )
    finish_replacement(workplace.bundle)
    if is_bundle_of(made_from, workplace.bundle):
        say(f"{workplace.bundle} is current, nothing to do")
        return
    provenance = {
        "made_from": made_from,
        "commit": commit(),
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "knowledge": without_addresses(knowledge.provenance),
        "checkpoint": {
            "name": checkpoint.name,
            "sha256": weights_sha256,
            **checkpoint.description.model_dump(mode="json"),
        },
        "experiment": without_addresses(experiment.model_dump(mode="json")),
    }
    say(f"exporting {checkpoint.name}, the best on validation")
    comparison = compare(checkpoint, dataset, knowledge, experiment, workplace)
    manifest = freeze(
        checkpoint, dataset, workplace.bundle, provenance, knowledge.item_embeddings, comparison
    )
    say(describe(workplace.bundle, manifest, torch_metrics(checkpoint, dataset)))


def _weights_hash(checkpoint: Path) -> str:
    weights = (readable_folder(checkpoint) / WEIGHTS_NAME).read_bytes()
    return hashlib.sha256(weights).hexdigest()


def is_bundle_of(made_from: str, folder: Path) -> bool:
    """Whether `folder` holds an intact bundle that was made from the inputs `made_from`.

    `made_from` is their fingerprint, which the bundle's provenance stores.
    """
    try:
        provenance = load_bundle(folder).manifest.provenance
    except BundleError:
        return False
    return bool(provenance.get("made_from") == made_from)


def compare(
    checkpoint: Checkpoint,
    dataset: Dataset,
    knowledge: Knowledge,
    experiment: Experiment,
    workplace: Workplace,
) -> Comparison:
    """Ranks with the baselines and the teacher, for comparison with the student of `checkpoint`.

    Ranks that `evaluate` has stored are read; a baseline without stored ranks is tuned first.
    """
    description = checkpoint.description
    teacher = teacher_evaluations(knowledge, dataset)
    teacher_name = RowName(f"teacher {experiment.teacher.kind}", teacher_free=False)
    return Comparison(
        student=RowName(
            row_name(description.variant, experiment.training.loss),
            STUDENT_NAMES[description.student.kind],
            teacher_free=not VARIANTS[description.variant].needs_teacher,
        ),
        seed=description.seed,
        baselines=baseline_evaluations(dataset, workplace.baselines),
        teacher=(teacher_name, teacher) if teacher else None,
        num_draws=experiment.ladder.num_resamples,
    )


def torch_metrics(checkpoint: Checkpoint, dataset: Dataset) -> Mapping[str, Any]:
    """Measures the torch student of `checkpoint`; returns metrics by split, then by name."""
    scorer = StudentScorer(checkpoint.student(), dataset)
    return metrics_of(measure(ranker_of(scorer, dataset), dataset, "torch"))


def describe(folder: Path, manifest: Manifest, in_torch: Mapping[str, Any]) -> str:
    """Describes a new bundle in a few lines: file sizes, parity, metrics and verdict.

    Args:
        folder: the bundle.
        manifest: the bundle's manifest.
        in_torch: metrics of the torch student, by split and name, shown beside the bundle's.
    """
    sizes = [f"{path.name} {path.stat().st_size:,} bytes" for path in BundleLayout(folder).hashed]
    lines = [
        f"{folder}: version {manifest.model_version}, {manifest.num_items:,} items, "
        f"scores within {manifest.parity_error:.1e} of torch",
        f"  {', '.join(sizes)}",
    ]
    for split, figures in in_torch.items():
        lines += [
            f"  {split:<10} {metric:<7} served {manifest.metrics[split][metric]:.4f}, "
            f"torch {figures[metric]:.4f}"
            for metric in SHOWN_METRICS
        ]
    return "\n".join([*lines, f"  {manifest.verdict}"])


if __name__ == "__main__":
    sys.exit(main())
