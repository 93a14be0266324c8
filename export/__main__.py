"""Exports the best student of an experiment, by default a distilled one: `work/<name>/bundle`.

python -m export configs/movielens.toml
python -m export configs/movielens.toml --publish bundles   # services load it without a restart
python -m export configs/movielens.toml --publish s3://bucket/shop   # the same, at an address
python -m export configs/movielens.toml --variant plain   # the best one without a teacher
python -m export configs/movielens.toml --refit   # its refit on all rows, after `distill --refit`
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from export.compared_rankers import can_be_ranked, compare
from export.contract.addresses.place import place_of
from export.contract.bundle import BundleError, BundleLayout, Manifest, load_bundle
from export.contract.folders import finish_replacement, locked, readable_folder
from export.contract.manifest import SHOWN_METRICS
from export.figures import measure, metrics_of
from export.freeze import Trained, freeze
from training.cli import run, say
from training.data.dataset import HELD_OUT, Dataset
from training.data.storage import load_dataset
from training.distillation.best_refits import refits_of_best
from training.distillation.checkpoint import (
    WEIGHTS_NAME,
    Checkpoint,
    best_on_validation,
    describe_choice,
    is_trained,
)
from training.distillation.experiment_jobs import current_checkpoints, jobs_of
from training.distillation.job import Job
from training.distillation.variants import DISTILLED, TEACHER_FREE, VARIANTS, made_without_llm
from training.errors import ConfigError, KnowledgeError
from training.evaluation.baselines.registry import BASELINES_VERSION
from training.evaluation.yardstick import ranker_of
from training.knowledge import Knowledge, load_knowledge
from training.provenance import commit, without_addresses
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Work
from training.stage import fingerprint
from training.students.scorer import StudentScorer
from training.workplace import Workplace, knowledge_folder, open_experiment

RULES_VERSION = 10  # increment when a code change alters the bundle of an unchanged checkpoint


Bundles = Annotated[
    str | None,
    Parameter(
        name="--publish",
        help="Folder of bundles, or an address such as s3://bucket/shop: copy the bundle there and "
        "make it the one that services load.",
    ),
]
Refit = Annotated[
    bool,
    Parameter(
        negative="",
        help="Export the best student's refit on all interactions, which `distill --refit` trains. "
        "The figures are those of another refit, which has not seen test interactions.",
    ),
]
Variant = Annotated[
    str,
    Parameter(
        choices=tuple(VARIANTS),
        show_default=True,
        help="Export the best student of this variant; plain = without a teacher.",
    ),
]


def command(
    config: Config,
    /,
    *,
    work: Work = WORK,
    bundles: Bundles = None,
    refit: Refit = False,
    variant: Variant = DISTILLED,
) -> None:
    """Export the best student as a bundle."""
    experiment, workplace = open_experiment(config, work)
    export(experiment, workplace, refit=refit, variant=variant)
    if bundles is not None:
        _publish(workplace.bundle, bundles)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns the exit code."""
    return run(command, "export", arguments)


def _publish(bundle: Path, text: str) -> None:
    try:
        place = place_of(text)
        version = place.publish(bundle)
    except (BundleError, OSError) as error:
        raise ConfigError(f"--publish {text}: {error}") from error
    say(f"{place.name} is {version} now")


@dataclass(frozen=True)
class Choice:
    """The choice of the student to export, and of the student whose metrics the manifest shows.

    The two differ only if the exported student is a refit on all rows, which has seen the test
    examples. A refit that has not seen them is then measured in its place.

    Attributes:
        best: the student that validation has chosen; `served` is this student or a refit of it.
        served: the student to export.
        measured: the student whose metrics the manifest shows.
        counterpart: the best student without a teacher, which `measured` is compared with; None for
            a refit, if none is trained, or if `best` itself has no teacher.
        made_from: fingerprint of everything that decides the bundle.
        weights_sha256: SHA-256 in hexadecimal of the weights of `served`.
    """

    best: Checkpoint
    served: Trained
    measured: Trained
    counterpart: Checkpoint | None
    made_from: str
    weights_sha256: str

    @property
    def twin(self) -> Trained | None:
        """The student to measure in place of `served`; None if `served` itself is measured."""
        return None if self.measured is self.served else self.measured


def export(
    experiment: Experiment, workplace: Workplace, *, refit: bool = False, variant: str = DISTILLED
) -> None:
    """Writes the bundle of the experiment's best student of `variant`, unless it is up to date.

    The best student is the one with the highest NDCG@20 on the validation examples.

    Args:
        experiment: the experiment, whose students are trained.
        workplace: folders of the experiment's results, among them that of the bundle.
        refit: whether to export the refit of the best student on all rows instead.
        variant: name of the method variant to choose from.
    """
    dataset = load_dataset(workplace.dataset)
    knowledge = _knowledge(experiment, workplace, dataset, variant)
    jobs = list(jobs_of(experiment, dataset, knowledge, [variant]))
    teacher_free = _trained(jobs_of(experiment, dataset, knowledge, [TEACHER_FREE]), workplace)
    choice = _choice(jobs, teacher_free, workplace, knowledge, refit=refit)
    with locked(workplace.bundle.parent):  # another export may be writing it
        finish_replacement(workplace.bundle)
    if is_bundle_of(choice.made_from, workplace.bundle):
        say(f"{workplace.bundle} is current, nothing to do")
        return
    served, measured = choice.served, choice.measured
    say(f"exporting {describe_choice(choice.best, teacher_free, refit=refit)}")
    comparison = compare(
        measured.checkpoint, dataset, knowledge, experiment, workplace, choice.counterpart
    )
    manifest = freeze(
        served.checkpoint,
        served.dataset,
        workplace.bundle,
        _provenance(choice, dataset, knowledge, experiment),
        knowledge.item_embeddings if knowledge and jobs[0].reads_titles else None,
        comparison,
        choice.twin,
    )
    in_torch = torch_metrics(measured.checkpoint, measured.dataset)
    say(describe(workplace.bundle, manifest, in_torch))


def _knowledge(
    experiment: Experiment, workplace: Workplace, dataset: Dataset, variant: str
) -> Knowledge | None:
    """Loads the teacher's knowledge, from which a bundle also has the teacher's figures.

    If it cannot be used, it is None for a variant without a teacher, and a message says so.

    Raises:
        KnowledgeError: it cannot be used, and `variant` needs a teacher.
    """
    folder = knowledge_folder(experiment, workplace)
    try:
        return load_knowledge(folder, dataset, experiment.teacher)
    except KnowledgeError as error:
        if VARIANTS[variant].needs_teacher:
            raise
        say(f"left out: the figures of the {experiment.teacher.kind} teacher: {error}")
        return None


def _choice(
    jobs: Sequence[Job],
    teacher_free: Sequence[Checkpoint],
    workplace: Workplace,
    knowledge: Knowledge | None,
    *,
    refit: bool,
) -> Choice:
    """Chooses a student of `jobs`, which have one variant, and its counterpart."""
    variant = jobs[0].variant
    best = best_on_validation(current_checkpoints(jobs, workplace.checkpoints), variant)
    if refit:
        refits = refits_of_best(jobs, workplace.checkpoints, variant)
        chosen, folder = [refits["refit-all"], refits["refit"]], workplace.refits
    else:
        chosen = [job for job in jobs if job.name == best.name]
        folder = workplace.checkpoints
    trained = [
        Trained(each, job.dataset)
        for each, job in zip(current_checkpoints(chosen, folder), chosen, strict=True)
    ]
    hashes = [_weights_hash(folder / job.name) for job in chosen]
    parts = [part for job, each in zip(chosen, hashes, strict=True) for part in (job.name, each)]
    counterpart = None
    if teacher_free and not refit and variant != TEACHER_FREE:
        counterpart = best_on_validation(teacher_free, TEACHER_FREE)
        parts += [counterpart.name, _weights_hash(workplace.checkpoints / counterpart.name)]
    # Of the knowledge and the draws are the teacher's figures, and all intervals.
    teacher = dict(knowledge.provenance) if knowledge else {}
    figures = fingerprint(teacher, jobs[0].experiment.ladder.num_resamples)
    parts += [jobs[0].dataset.fingerprint, figures]
    if made_without_llm(jobs[0].experiment.teacher.kind, reads_titles=False):
        parts.append("a teacher without an LLM")  # apart from bundles that call it one
    made_from = fingerprint(RULES_VERSION, BASELINES_VERSION, *parts)
    return Choice(best, trained[0], trained[-1], counterpart, made_from, hashes[0])


def _trained(jobs: Iterable[Job], workplace: Workplace) -> Sequence[Checkpoint]:
    """Returns the checkpoints of `jobs`; untrained jobs are left out."""
    folder = workplace.checkpoints
    return current_checkpoints(
        [job for job in jobs if is_trained(folder / job.name, job.stamp)], folder
    )


def _provenance(
    choice: Choice, dataset: Dataset, knowledge: Knowledge | None, experiment: Experiment
) -> dict[str, Any]:
    served = choice.served.checkpoint
    provenance = {
        "made_from": choice.made_from,
        "commit": commit(),
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "knowledge": without_addresses(knowledge.provenance) if knowledge else {},
        "checkpoint": {
            "name": served.name,
            "sha256": choice.weights_sha256,
            **served.description.model_dump(mode="json"),
        },
        "experiment": without_addresses(experiment.model_dump(mode="json")),
    }
    if choice.twin is not None:
        measured = choice.twin.checkpoint
        description = measured.description.model_dump(mode="json")
        provenance["measured"] = {"name": measured.name, **description}
    return provenance


def _weights_hash(checkpoint: Path) -> str:
    weights = (readable_folder(checkpoint) / WEIGHTS_NAME).read_bytes()
    return hashlib.sha256(weights).hexdigest()


def is_bundle_of(made_from: str, folder: Path) -> bool:
    """Returns whether `folder` holds an intact bundle that was made from the same inputs.

    `made_from` is the fingerprint of the inputs, which a bundle's provenance stores.
    """
    try:
        provenance = load_bundle(folder).manifest.provenance
    except BundleError:
        return False
    return bool(provenance.get("made_from") == made_from)


def torch_metrics(checkpoint: Checkpoint, dataset: Dataset) -> Mapping[str, Any]:
    """Measures the student of `checkpoint` in torch, on the held-out examples of `dataset`.

    Returns:
        The metrics by name of the split ("validation", "test"), then by name of the metric; none if
        that would take too long. `check_parity` compares the exported graphs with the student on
        fewer histories in any case.
    """
    if not can_be_ranked(dataset):
        return {}
    scorer = StudentScorer(checkpoint.student(), dataset)
    return metrics_of(measure(ranker_of(scorer, dataset), dataset, "torch"))


def describe(folder: Path, manifest: Manifest, in_torch: Mapping[str, Any]) -> str:
    """Returns a few lines of text about a new bundle: file sizes, parity, metrics and verdict.

    Args:
        folder: the bundle's folder.
        manifest: the bundle's manifest.
        in_torch: metrics of the student in torch, by split and by name, which are shown beside
            those of the exported graphs; empty: only those are shown.
    """
    sizes = [f"{path.name} {path.stat().st_size:,} bytes" for path in BundleLayout(folder).hashed]
    lines = [
        f"{folder}: version {manifest.model_version}, {manifest.num_items:,} items, "
        f"scores within {manifest.parity_error:.1e} of torch",
        f"  {', '.join(sizes)}",
    ]
    for split in (name for each in HELD_OUT if (name := each.name.lower()) in manifest.metrics):
        for metric in SHOWN_METRICS:
            served = f"  {split:<10} {metric:<7} served {manifest.metrics[split][metric]:.4f}"
            torch = f", torch {in_torch[split][metric]:.4f}" if split in in_torch else ""
            lines.append(served + torch)
    return "\n".join([*lines, f"  {manifest.verdict}"])


if __name__ == "__main__":
    sys.exit(main())
