"""The sub-commands: where each is implemented, and what it needs beside the base installation."""

from collections.abc import Iterator
from dataclasses import dataclass

from cyclopts import Group

TRAINING = Group("Make a model", sort_key=1)
SERVING = Group("Serve it", sort_key=2)
MEASURING = Group("Measure", sort_key=3)
OTHER = Group("Other", sort_key=4)


@dataclass(frozen=True)
class LazyCommand:
    """A sub-command whose module is imported when the command is run.

    Attributes:
        name: the word on the command line.
        path: `module:attribute` of the function that implements it.
        help: the first line of that function's docstring, so that the list of commands needs no
            import; a test compares the two.
        group: the heading under which it is listed, "Commands" by default.
        extra: the extra of the package that brings what the module imports; empty for the base.
        needs_checkout: whether it works on files that only a checkout of the repository has.
    """

    name: str
    path: str
    help: str
    group: Group | None = None
    extra: str = ""
    needs_checkout: bool = False


COMMANDS = (
    LazyCommand(
        "demo",
        "distilled_recommender.demo:command",
        "Make a bundle of MovieLens, then serve it and ask it: the whole road in minutes.",
        TRAINING,
        extra="demo",
    ),
    LazyCommand(
        "prepare",
        "training.prepare:command",
        "Turn interactions and titles into a dataset: filter, split, check.",
        TRAINING,
        extra="demo",
    ),
    LazyCommand(
        "teach",
        "training.teach:command",
        "Let the LLM teacher answer every history.",
        TRAINING,
        extra="train",
    ),
    LazyCommand(
        "distill",
        "training.distill:command",
        "Train students, with and without the teacher.",
        TRAINING,
        extra="demo",
    ),
    LazyCommand(
        "evaluate",
        "training.evaluate:command",
        "Measure students, teacher and baselines on the test examples.",
        TRAINING,
        extra="demo",
    ),
    LazyCommand(
        "export",
        "export.__main__:command",
        "Freeze the best distilled student into a bundle.",
        TRAINING,
        extra="demo",
    ),
    LazyCommand(
        "serve",
        "distilled_recommender.serve:command",
        "Serve a bundle over HTTP.",
        SERVING,
    ),
    LazyCommand(
        "serve-teacher",
        "training.serve_teacher:command",
        "Answer histories with the LLM teacher, over HTTP.",
        SERVING,
        extra="train",
    ),
    LazyCommand(
        "ladder",
        "training.ladder.__main__:command",
        "Measure what each part of the method earns.",
        MEASURING,
        extra="train",
        needs_checkout=True,
    ),
    LazyCommand(
        "bench",
        "benchmarks.__main__:command",
        "Measure the service and the programs.",
        MEASURING,
        extra="bench",
        needs_checkout=True,
    ),
)
BUNDLE_COMMANDS = (
    LazyCommand(
        "verify",
        "distilled_recommender.bundle:verify",
        "Check that a bundle is whole: every file against the hash in its manifest.",
    ),
    LazyCommand(
        "show",
        "distilled_recommender.bundle:show",
        "Print what a bundle is, how well it ranks and where it comes from.",
    ),
    LazyCommand(
        "publish",
        "distilled_recommender.bundle:publish",
        "Copy a bundle into a folder of bundles and make it the active one.",
    ),
)


def by_path() -> Iterator[tuple[str, LazyCommand]]:
    """Every command with the words that name it, such as `bundle verify`."""
    yield from ((each.name, each) for each in COMMANDS)
    yield from ((f"bundle {each.name}", each) for each in BUNDLE_COMMANDS)
