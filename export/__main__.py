"""Export: the best distilled student becomes a bundle, `work/<name>/bundle`.

python -m export configs/movielens.toml
python -m export configs/movielens.toml --publish bundles   # and services that follow it swap
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from export.contract.bundle import BundleError, BundleLayout, Manifest, load_bundle
from export.contract.publish import publish
from export.freeze import freeze, measure
from training.cli import run, say
from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.distillation.checkpoint import (
    WEIGHTS_NAME,
    Checkpoint,
    best_on_validation,
)
from training.distillation.job import current_checkpoints, jobs_of
from training.distillation.variants import DISTILLED
from training.errors import ConfigError
from training.evaluation.yardstick import ranker_of
from training.knowledge import load_knowledge
from training.options import WORK, Config, Work
from training.provenance import commit, without_addresses
from training.settings.experiment import Experiment
from training.stage import fingerprint
from training.students.scorer import StudentScorer
from training.workplace import Workplace, knowledge_folder, open_experiment

RULES_VERSION = 7  # raise it when the same checkpoint would become another bundle
SHOWN_METRICS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20")


Bundles = Annotated[
    Path | None,
    Parameter(
        name="--publish",
        help="Folder of bundles that gets a copy, from which services serve it.",
    ),
]


def command(config: Config, /, *, work: Work = WORK, bundles: Bundles = None) -> None:
    """Freeze the best distilled student into a bundle."""
    experiment, workplace = open_experiment(config, work)
    export(experiment, workplace)
    if bundles is not None:
        _publish(workplace.bundle, bundles)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run(command, "export", arguments)


def _publish(bundle: Path, folder: Path) -> None:
    try:
        link = publish(bundle, folder)
    except (BundleError, OSError) as error:
        raise ConfigError(f"--publish {folder}: {error}") from error
    say(f"{link.path} is {link.bundle} now")


def export(experiment: Experiment, workplace: Workplace) -> None:
    """Writes the bundle of `experiment`, unless it is there, whole, and of the same checkpoint."""
    dataset = load_dataset(workplace.dataset)
    knowledge = load_knowledge(knowledge_folder(experiment, workplace), dataset, experiment.teacher)
    jobs = jobs_of(experiment, dataset, knowledge, [DISTILLED])
    checkpoints = current_checkpoints(jobs, workplace.checkpoints)
    checkpoint = best_on_validation(checkpoints, DISTILLED)
    weights = (workplace.checkpoints / checkpoint.name / WEIGHTS_NAME).read_bytes()
    weights_sha256 = hashlib.sha256(weights).hexdigest()
    made_from = fingerprint(RULES_VERSION, dataset.fingerprint, checkpoint.name, weights_sha256)
    if is_current(workplace.bundle, made_from):
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
    manifest = freeze(checkpoint, dataset, workplace.bundle, provenance, knowledge.item_embeddings)
    say(describe(workplace.bundle, manifest, torch_metrics(checkpoint, dataset)))


def is_current(folder: Path, made_from: str) -> bool:
    """Whether `folder` is a whole bundle made from what `made_from` stands for."""
    try:
        provenance = load_bundle(folder).manifest.provenance
    except BundleError:
        return False
    return bool(provenance.get("made_from") == made_from)


def torch_metrics(checkpoint: Checkpoint, dataset: Dataset) -> Mapping[str, Any]:
    """The figures of the same student before its export, to show beside the bundle's."""
    scorer = StudentScorer(checkpoint.student(), dataset)
    return measure(ranker_of(scorer, dataset), dataset, "torch")


def describe(folder: Path, manifest: Manifest, before: Mapping[str, Any]) -> str:
    """A summary for people: sizes, parity, and each figure as served and as in torch."""
    sizes = [f"{path.name} {path.stat().st_size:,} bytes" for path in BundleLayout(folder).hashed]
    lines = [
        f"{folder}: version {manifest.model_version}, {manifest.num_items:,} items, "
        f"scores within {manifest.parity_error:.1e} of torch",
        f"  {', '.join(sizes)}",
    ]
    for split, figures in before.items():
        lines += [
            f"  {split:<10} {metric:<7} served {manifest.metrics[split][metric]:.4f}, "
            f"torch {figures[metric]:.4f}"
            for metric in SHOWN_METRICS
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
