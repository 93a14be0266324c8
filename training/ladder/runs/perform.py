"""Performs runs of the ladder: trains or tunes, measures, and saves the ranks in the store."""

import time
from dataclasses import asdict
from typing import Any

from training.data.dataset import Protocol
from training.distillation.checkpoint import save_checkpoint
from training.distillation.distributed import available_processes
from training.distillation.job import Job, TrainedStudent
from training.evaluation.mixing import FusionSettings, fused, mean_of, tuned_fusion
from training.evaluation.yardstick import Scorer
from training.ladder.plan.mixtures import MixedRun
from training.ladder.runs.store import Run, RunFacts, RunStore
from training.provenance import commit
from training.students.scorer import StudentScorer


def continues_another(run: Run) -> bool:
    """Returns whether `run` continues from the final training state of another run.

    This holds for jobs that differ from the other run only in what is fitted after training: cold
    items and the pair bonus. They must be performed after that run.
    """
    return isinstance(run, Job) and run.training_stamp != run.stamp


def perform(run: Run, store: RunStore) -> str:
    """Trains or tunes one run, measures it and stores its ranks; returns its stamp.

    Training resumes from a saved state if there is one.
    """
    if isinstance(run, Job):
        _train(run, store)
    elif isinstance(run, MixedRun):
        _mix(run, store)
    else:
        tuned = run.tune()
        protocol: Protocol = "refit" if run.is_refit else "train"
        facts = RunFacts(
            run.name,
            tuned.seconds,
            store.machine,
            [commit()],
            protocol=protocol,
            settings=tuned.settings,
        )
        store.save(run, tuned.scorer, facts)
    return run.stamp


def _mix(run: MixedRun, store: RunStore) -> None:
    """Measures a mixture, and saves its ranks and the settings of its fusion in `store`.

    A student whose training state was removed is trained again.
    """
    began = time.perf_counter()
    scorers: list[Scorer] = [
        StudentScorer(_trained(job, store).student, job.dataset) for job in run.jobs
    ]
    settings: dict[str, Any] = {}
    if run.baseline is None:
        scorer = mean_of(scorers)
    else:
        neighbours = run.baseline.fitted(store.facts(run.baseline).settings)
        if run.tuned is not None:
            chosen = FusionSettings(**store.facts(run.tuned).settings)
        else:
            chosen = tuned_fusion(scorers[0], neighbours, run.dataset, f"fusing {run.name}")
        scorer, settings = fused(scorers[0], neighbours, chosen), asdict(chosen)
    facts = RunFacts(
        run.name,
        time.perf_counter() - began,
        store.machine,
        [commit()],
        protocol=run.jobs[0].protocol,
        settings=settings,
    )
    store.save(run, scorer, facts)


def _trained(job: Job, store: RunStore) -> TrainedStudent:
    name = f"{job.experiment.student.kind} {job.name} {job.stamp[:6]}"
    return job.train(store.state_path(job), name, available_processes())


def _train(job: Job, store: RunStore) -> None:
    name = f"{job.experiment.student.kind} {job.name}"
    trained = _trained(job, store)
    progress = trained.progress
    facts = RunFacts(
        name,
        progress.seconds,
        store.machine,
        progress.commits,
        progress.best_epoch,
        trained.cold_bonus,
        protocol=job.protocol,
        settings=asdict(trained.pairs) if trained.pairs else {},
    )
    store.save(job, StudentScorer(trained.student, job.dataset), facts)
    if store.keeps_placed and trained.cold_bonus is not None and job.refit is None:
        _keep_placed(job, trained, store)


def train_again(job: Job, store: RunStore) -> None:
    """Trains a measured job again and saves its checkpoint, which may have been removed.

    The refit of the job places cold items from this checkpoint.
    """
    label = f"{job.name} {job.stamp[:6]} again"
    trained = job.train(store.state_path(job), label, available_processes())
    _keep_placed(job, trained, store)


def _keep_placed(job: Job, trained: TrainedStudent, store: RunStore) -> None:
    save_checkpoint(job.checkpoint_of(trained), store.checkpoint_path(job), job.stamp)
