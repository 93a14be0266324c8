"""Tunes an experiment's LLM teacher, ranks items for examples with it, and stores its knowledge.

python -m training.teach configs/movielens.toml

Several machines share the LLM's work by a store, which is a folder or an address. Each runs
`--part i/n --store STORE`, and then one runs `--store STORE`, which makes the knowledge.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from training.cli import run, say
from training.data.dataset import Dataset
from training.data.storage import load_dataset
from training.errors import ConfigError
from training.evaluation.stored import answers_ranker
from training.evaluation.yardstick import SELECTION_METRIC, evaluate
from training.knowledge import Knowledge, load_knowledge, save_knowledge
from training.provenance import commit, hardware
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Kind, Work
from training.settings.teacher import ENCODER_KINDS, WORDS_KINDS, TeacherConfig
from training.stage import fingerprint, finish_replacement, is_current, write_stage
from training.teacher.budget import refuse_no_examples
from training.teacher.encoders.opening import title_encoder
from training.teacher.fusion.teach import teach_fusion
from training.teacher.generative.load_engine import load_engine
from training.teacher.generative.teach import teach_generative
from training.teacher.llm.prompts import PROMPT_VERSION
from training.teacher.parts.crew import join_crew
from training.teacher.parts.part import parse_part
from training.teacher.parts.share import share_work
from training.teacher.retrieval.teach import teach_retrieval
from training.teacher.titles.known_titles import embed_new_titles
from training.teacher.titles.teach import embed_catalog, embed_catalog_by_words, teach_titles
from training.teacher.tuning.tuned_model import load_tuned, tune_if_configured
from training.workplace import Workplace, knowledge_folder, open_experiment, with_teacher


@Parameter(name="*")
@dataclass(frozen=True)
class TeachOptions:
    """Command-line options of `teach`, in addition to the experiment file and `--work`."""

    kind: Kind = None
    again: bool = False
    """Make the knowledge again, even if it is up to date, from what the teacher has read already.
    To have everything read again, first delete `reading` and `tuned` in the experiment's folder."""
    reuse: bool = False
    """For titles and fusion: read only titles that no earlier run with this option has read."""
    part: str | None = None
    """Part i/n of the LLM's work, such as 2/3, shared through --store: compute these shards first,
    then help until all shards are complete. Makes no knowledge."""
    store: str | None = None
    """Folder or address, such as s3://bucket/teaching, where parts share their shards. Without
    --part: compute what is missing there, and make the knowledge."""
    takeover_seconds: Annotated[float, Parameter(show_default=True, validator=Number(gt=0))] = 60.0
    """Time after which the shard of a part that was killed is computed by another."""


DEFAULTS = TeachOptions()


def command(config: Config, /, *, work: Work = WORK, options: TeachOptions = DEFAULTS) -> None:
    """Let the LLM teacher answer every history."""
    teach(*open_experiment(config, work), options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs this program with `arguments` (None: `sys.argv[1:]`); returns the exit code."""
    return run(command, "training.teach", arguments)


def teach(experiment: Experiment, workplace: Workplace, options: TeachOptions) -> None:
    """Lets the teacher answer the examples, and writes its knowledge.

    Does nothing if the stored knowledge is up to date. If the setting `knowledge` names an existing
    folder, the knowledge there is only verified. With `options.again`, the knowledge is always made
    again, from what the teacher has read already. With `options.part`, only shards are computed.
    """
    experiment = with_teacher(experiment, options.kind)
    _refuse_unusable(options, experiment.knowledge)
    dataset = load_dataset(workplace.dataset)
    if options.part:
        _compute_part(dataset, experiment.teacher, workplace, options)
        return
    folder = knowledge_folder(experiment, workplace)
    stamp = fingerprint(
        PROMPT_VERSION, experiment.teacher.fingerprint_content(), dataset.fingerprint
    )
    finish_replacement(folder)
    exists = folder.exists() if experiment.knowledge else is_current(folder, stamp)
    if exists and not options.again:
        kind = "ready-made" if experiment.knowledge else "current"
        load_knowledge(folder, dataset, experiment.teacher)
        say(f"{folder} is {kind}, nothing to do")
        return
    if options.again:
        _tell_what_is_kept(experiment.teacher, workplace, options.store)
    origin = _origin(experiment)  # before the teacher answers, as the code may change meanwhile
    with write_stage(folder, stamp) as building:
        knowledge = _knowledge_of(dataset, experiment, workplace, building, options)
        answers = knowledge.validation
        figures = evaluate(answers_ranker(answers), dataset, answers.rows).metrics
        costs = knowledge.provenance["costs"].values()
        provenance = {
            **origin,
            **knowledge.provenance,
            **{unit: round(sum(cost[unit] for cost in costs)) for unit in ("tokens", "seconds")},
            "validation": dict(figures),
        }
        save_knowledge(replace(knowledge, provenance=provenance), building)
    cost = f"{provenance['tokens']:,} tokens, {provenance['seconds']:,} s"
    say(f"{folder}: validation {SELECTION_METRIC} {figures[SELECTION_METRIC]:.4f}, {cost}")


def _tell_what_is_kept(config: TeacherConfig, workplace: Workplace, store: str | None) -> None:
    kept = [str(each) for each in (workplace.reading, workplace.tuned) if each.exists()]
    kept += [store] if store else []
    if kept and config.kind not in WORDS_KINDS:
        say(
            "what the teacher has read already is used again; if its weights have changed, delete "
            f"{' and '.join(kept)}, and everything is read again"
        )


def _knowledge_of(
    dataset: Dataset,
    experiment: Experiment,
    workplace: Workplace,
    building: Path,
    options: TeachOptions,
) -> Knowledge:
    config = experiment.teacher
    refuse_no_examples(config)
    if options.store:
        tune_if_configured(dataset, config, workplace.tuned)
        crew = join_crew(options.store, None, options.takeover_seconds)
        share_work(dataset, config, workplace.reading, workplace.tuned, crew)
    if config.kind in WORDS_KINDS:
        return teach_titles(dataset, config, *embed_catalog_by_words(dataset, config))
    if config.kind in ENCODER_KINDS:
        embed = embed_new_titles if options.reuse else embed_catalog
        read = embed(dataset, config, workplace.reading, title_encoder(config))
        make = teach_titles if config.kind == "titles" else teach_fusion
        return make(dataset, config, *read)
    tune_if_configured(dataset, config, workplace.tuned)
    if config.kind == "retrieval":
        tuned = load_tuned(dataset, config, workplace.tuned)
        return teach_retrieval(dataset, config, workplace.reading, tuned, building)
    engine = load_engine(dataset, config, workplace.tuned)
    return teach_generative(dataset, config, workplace.reading, engine)


def _compute_part(
    dataset: Dataset, config: TeacherConfig, workplace: Workplace, options: TeachOptions
) -> None:
    refuse_no_examples(config)
    part = parse_part(options.part or "")
    crew = join_crew(options.store or "", part, options.takeover_seconds)
    reading = workplace.reading / f"part-{part.number}-of-{part.count}"
    share_work(dataset, config, reading, workplace.tuned, crew)
    say(f"{options.store}: all shards are complete, {crew.computed} by part {part}")


def _refuse_unusable(options: TeachOptions, ready_made: Path | None) -> None:
    if options.store and not options.again and ready_made is not None and ready_made.exists():
        raise ConfigError(
            f"--store: knowledge = {ready_made} is ready-made, so nobody would read the shards; "
            "leave `knowledge` out of the experiment, or add --again"
        )
    if options.part and not options.store:
        raise ConfigError(
            f"--part {options.part}: needs --store, the folder or address where parts share shards"
        )
    if options.store and options.reuse:
        raise ConfigError("--store: cannot be used with --reuse, whose titles are of one machine")


def _origin(experiment: Experiment) -> dict[str, object]:
    return {
        "teacher": experiment.teacher.kind,
        "prompt_version": PROMPT_VERSION,
        "settings": experiment.teacher.model_dump(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": commit(),
        "hardware": hardware(),
    }


if __name__ == "__main__":
    sys.exit(main())
