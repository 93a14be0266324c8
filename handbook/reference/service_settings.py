"""Writes docs/reference/service-settings.md: every setting of the service."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from distilled_recommender.serve import ServeOptions
from handbook.reference.json_schema import Schema, setting_rows, table
from service.settings import Settings

INTRODUCTION = """\
# Settings of the service

The service reads its settings from environment variables; an empty one counts as unset. If
`SECRETS_PATH` names a folder, each file in it, such as `admin_key`, is a setting too and takes
precedence. An unusable value ends the start with one line. `python -m service --help` prints this
list. An *option* is one of `distilled-recommender serve`. [Operations](../operations.md) says which
settings to change, and when.

`make reference` writes this page from `service/settings.py`.
"""
# Variables that are no settings of the service; a test looks for those that the code reads.
OTHERS = (
    ("SECRETS_PATH", "service", "folder of files, each named after the setting whose value it has"),
    (
        "PROMETHEUS_MULTIPROC_DIR",
        "service",
        "folder in which several workers share metrics; the service sets it by itself",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "service",
        "address that spans are sent to, if `TRACING` is on; more `OTEL_` variables are those of "
        "OpenTelemetry",
    ),
    ("OPENAI_API_KEY", "`teach`, `serve-teacher`", "key of the server in `[teacher.endpoint]`"),
    (
        "MINISIGN_PASSWORD",
        "`bundle sign`",
        "password of the secret key, for programs without a terminal",
    ),
    ("RANK", "`distill`", "number of this process among those that `torchrun` started"),
    ("WORLD_SIZE", "`distill`", "number of processes that `torchrun` started"),
)
HEAD = ("variable", "option", "allowed", "default", "meaning")


def page() -> str:
    """Returns the text of the page: a chapter for each group of settings, then other variables."""
    schema = Settings.model_json_schema()
    groups = (Settings, *Settings.__bases__)
    chapters = (_chapter(each, schema) for each in groups)
    others = ((f"`{name}`", *cells) for name, *cells in OTHERS)
    others_chapter = f"## Other variables\n\n{table(('variable', 'read by', 'meaning'), others)}\n"
    return "\n".join((INTRODUCTION, *chapters, others_chapter))


def _chapter(group: type, schema: Schema) -> str:
    title = "Stores, load and processes"
    if group is not Settings:
        title = (group.__doc__ or "").partition(";")[0].removesuffix(".")
    own = {name: schema["properties"][name] for name in group.__annotations__ if name[0] != "_"}
    own.pop("model_config", None)
    return f"## {title}\n\n{table(HEAD, _rows({'properties': own}))}\n"


def _rows(schema: Schema) -> Iterator[Sequence[str]]:
    options = {each.name: f"`--{each.name.replace('_', '-')}`" for each in fields(ServeOptions)}
    options |= dict.fromkeys(("bundle_path", "bundle"), "`BUNDLE`")
    for quoted, allowed, default, description in setting_rows(schema):
        name = quoted.strip("`")
        meaning = description.partition(": ")[2]
        yield f"`{name.upper()}`", options.get(name, ""), allowed, default, meaning
