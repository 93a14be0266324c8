"""Describes how a report was made: command, commits, hardware, seeds, trials and teachers."""

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.data.dataset import Split
from training.ladder.plan.plan import Plan
from training.ladder.plan.references import Teacher
from training.ladder.plan.rows import HEADLINES, ROWS
from training.ladder.results.measured import Measured
from training.ladder.runs.store import RunFacts
from training.provenance import commit
from training.settings.teacher import FUSION_KINDS, TITLELESS_KIND

FORMER_RULE = (
    "these students without titles also read the items of a history that no training interaction "
    "has, whose vectors are not trained; without `--kept` they are trained anew and skip such items"
)

FORMER_SEARCH = (
    "their pair bonus is the best of more settings on fewer validation examples; without `--kept` "
    "it is searched anew"
)


def origin_of(lines: Sequence[Measured], plan: Plan) -> Iterator[tuple[str, object]]:
    """Yields the name and value of each entry in the list at the end of a report, command first."""
    ladder = plan.experiment.ladder
    yield "command", f"`python -m training.ladder {shlex.join(_arguments())}`"
    yield "commit", commit()
    yield "date", f"{datetime.now(UTC):%Y-%m-%d}"
    runs = [run for line in lines for run in line.runs]
    yield "commits of the runs", _distinct(each for run in runs for each in run.commits)
    yield "hardware", _distinct(run.machine for run in runs)
    yield from former_runs(runs)
    kept = f"ranks of students and teachers in `runs/{plan.experiment.name}`"
    yield "kept", f"{kept}; trained anew with another `--out` and no `--kept`"
    *first, last = HEADLINES
    headlines = f"{', '.join(first)} and {last}"
    configured = f"{ladder.seeds}, of {headlines} {ladder.headline_seeds}"
    yield "seeds", f"{plan.requested_seeds or configured}, as far as a row has them"
    if (share := plan.experiment.training.scored_share) < 1:
        others = ", ".join(name for name, row in ROWS.items() if row.scores_all)
        yield "scored in a step", f"{share:g} of the candidates; all of them in the rows {others}"
    for name, grid in ladder.grids:
        yield f"trials, {name}", "; ".join(f"{key} {list(values)}" for key, values in grid.items())
    answered = {line.teacher: len(line.answered(Split.TEST)) for line in lines if line.is_teacher}
    num_examples = len(plan.dataset.example_rows(Split.TEST))
    for teacher in plan.teachers:
        described = _described(teacher, answered.get(teacher.kind, 0), num_examples)
        yield f"teacher {teacher.kind}", described


def former_runs(runs: Sequence[RunFacts]) -> Iterator[tuple[str, object]]:
    """Yields how many runs an older version stored, and what was different in it."""
    count = Counter(run.former for run in runs)
    if ruled := count["rule"]:
        yield "runs of a former rule", f"{ruled} of {len(runs)}; {FORMER_RULE}"
    if searched := count["search"]:
        yield "runs of a former search", f"{searched} of {len(runs)}; {FORMER_SEARCH}"


def _arguments() -> list[str]:
    """Returns this process's command-line arguments, without the sub-command `ladder`."""
    words = sys.argv[1:]
    return words[1:] if words[:1] == ["ladder"] else words


def _described(teacher: Teacher, num_answered: int, num_examples: int) -> str:
    """Describes a teacher in a phrase: its LLM and its cost.

    If the teacher answered only `num_answered` of the `num_examples` test examples, the phrase says
    so.
    """
    facts = teacher.knowledge.provenance
    cost = f"{teacher.tokens:,} tokens, {teacher.seconds:,.0f} s on {facts.get('hardware')}"
    is_whole = num_answered == num_examples
    part = "" if is_whole else f", asked {num_answered:,} of {num_examples:,} test examples"
    return f"{_llm(facts)}, {cost}{part}"


def _llm(facts: Mapping[str, Any]) -> str:
    """Describes a teacher's LLM in a phrase: model, precision, layers, pooling and tuning.

    `facts` is the provenance of the teacher's knowledge. A words teacher has no LLM; the phrase
    then says how it embeds titles.
    """
    settings = facts.get("settings", {})
    if settings.get("kind") == "tf-idf":
        return f"no LLM, TF-IDF of titles in {settings['tf_idf_columns']} columns"
    if settings.get("kind") == "word-vectors":
        return f"no LLM, means of the words of titles in {Path(settings['word_vectors']).name}"
    model = f"{settings.get('model', 'unknown')} at {settings.get('precision', 'unknown')}"
    layers, pooling, tuning = (settings.get(each) for each in ("layers", "pooling", "tuning"))
    has_mean = pooling == "mean" and settings["kind"] == "retrieval"
    parts = [
        f"the first {layers} layers" if layers else "",
        "the mean over the last title" if has_mean else "",
        f"tuned ({tuning})" if tuning not in (None, "none") else "",
        f"{share:.0%} of titles alone" if (share := facts.get("share")) else "",
        "with order-aware kNN" if settings.get("kind") in FUSION_KINDS else "",
        "titles for its students alone" if settings.get("kind") == TITLELESS_KIND else "",
    ]
    return ", ".join([model, *filter(None, parts)])


def _distinct(names: Iterable[str]) -> str:
    return "; ".join(sorted(set(names)))
