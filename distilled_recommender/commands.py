"""Lists the sub-commands, the function of each, and the extra of the package that it needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cyclopts import Group

TRAINING = Group("Make a model", sort_key=1)
SERVING = Group("Serve it", sort_key=2)
LEARNING = Group("Learn from it", sort_key=3)
MEASURING = Group("Measure", sort_key=4)
OTHER = Group("Other", sort_key=5)


@dataclass(frozen=True)
class LazyCommand:
    """A sub-command whose module is imported only when the command runs.

    Attributes:
        name: name on the command line.
        path: `module:attribute` of the function that implements the command.
        help: copy of the first line of that function's docstring, so that the list of commands
            needs no import; a test compares the two.
        group: heading under which the help lists the command; None stands for "Commands".
        extra: extra of the package that installs the module's imports; empty for none.
        needs_checkout: whether the command needs files that only a checkout of the repository has.
    """

    name: str
    path: str
    help: str
    group: Group | None = None
    extra: str = ""
    needs_checkout: bool = False


@dataclass(frozen=True)
class CommandGroup:
    """Sub-commands that share their first word, such as `bundle verify` and `bundle sign`."""

    name: str
    help: str
    commands: Sequence[LazyCommand]


COMMANDS = (
    LazyCommand(
        "demo",
        "distilled_recommender.demo:command",
        "Make a bundle of MovieLens, serve it and query it: the whole pipeline in minutes.",
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
        "Export the best student as a bundle.",
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
        "recommend",
        "distilled_recommender.recommend.program:command",
        "Recommend for every history of a Parquet file, with the ranking of the service.",
        SERVING,
        extra="batch",
    ),
    LazyCommand(
        "serve-teacher",
        "training.serve_teacher:command",
        "Serve the LLM teacher over HTTP: answer histories with its rankings.",
        SERVING,
        extra="train",
    ),
    LazyCommand(
        "collect",
        "distilled_recommender.collector.program:command",
        "Move events from Redis, a disk or NATS to Parquet files, compact and erase there.",
        LEARNING,
        extra="collect",
    ),
    LazyCommand(
        "experiments",
        "distilled_recommender.experiments:command",
        "Count clicks, conversions and hits of each variant in the event log.",
        LEARNING,
        extra="collect",
    ),
    LazyCommand(
        "retrain",
        "distilled_recommender.retrain.program:command",
        "Train on the events up to now; publish the student if it is no worse than the active one.",
        LEARNING,
        extra="train",
    ),
    LazyCommand(
        "ladder",
        "training.ladder.__main__:command",
        "Measure the gain of each part of the method.",
        MEASURING,
        extra="train",
        needs_checkout=True,
    ),
    LazyCommand(
        "bench",
        "benchmarks.__main__:command",
        "Measure the speed and memory of the service and the programs.",
        MEASURING,
        extra="bench",
        needs_checkout=True,
    ),
)
BUNDLE_COMMANDS = (
    LazyCommand(
        "make",
        "export.imports.make:command",
        "Make a bundle of an encoder in ONNX, a table of items and their vectors.",
        extra="demo",
    ),
    LazyCommand(
        "import",
        "export.imports.foreign:command",
        "Make a bundle of a model that RecTools or RecBole has trained.",
        extra="demo",
    ),
    LazyCommand(
        "verify",
        "distilled_recommender.bundle:verify",
        "Check that a bundle is intact, and with a key, that its owner has signed it.",
    ),
    LazyCommand(
        "sign",
        "distilled_recommender.bundle:sign",
        "Sign a bundle: write manifest.json.minisig beside its manifest.",
    ),
    LazyCommand(
        "show",
        "distilled_recommender.bundle:show",
        "Print a summary of a bundle: student, metrics and origin.",
    ),
    LazyCommand(
        "publish",
        "distilled_recommender.bundle:publish",
        "Copy a bundle to a folder of bundles or an address and make it the active one.",
    ),
    LazyCommand(
        "rollback",
        "distilled_recommender.bundle:rollback",
        "Make the bundle before the active one active again; a second call undoes the first.",
    ),
)
KEY_COMMANDS = (
    LazyCommand(
        "create",
        "distilled_recommender.key:create",
        "Print a new API key, and add its salted hash to the file.",
    ),
    LazyCommand(
        "list",
        "distilled_recommender.key:list_all",
        "Print a line for each key: id, tenant, scopes, limits and state.",
    ),
    LazyCommand(
        "revoke",
        "distilled_recommender.key:revoke",
        "Refuse an API key from now on; a running service follows within a second.",
    ),
)
GROUPS = (
    CommandGroup(
        "bundle",
        "Make, import, verify, sign, show, publish or undo bundles.",
        BUNDLE_COMMANDS,
    ),
    CommandGroup("key", "Make, list or revoke API keys of the service.", KEY_COMMANDS),
)


def by_path() -> Iterator[tuple[str, LazyCommand]]:
    """Yields pairs: the words that call a command, such as `bundle verify`, and the command."""
    yield from ((each.name, each) for each in COMMANDS)
    for group in GROUPS:
        yield from ((f"{group.name} {each.name}", each) for each in group.commands)
