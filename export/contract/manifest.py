"""The manifest of a bundle: what was exported, how well it ranks and where it comes from.

Written as `manifest.json`, schema 4. A manifest of schema 3 is read too: the fields that came with
schema 4 then hold the values of `ABSENT_BEFORE_4`. Standard library only.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from export.contract.records import (
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    OBJECTS,
    TEXT,
    TEXT_BY_NAME,
    WHOLE_NUMBER,
    BundleError,
    Checks,
    build,
    one_of,
    optional,
    parse_object,
)

SCHEMA_VERSION = 4
READABLE_VERSIONS = (3, 4)

PROTOCOLS = ("validation", "refit")
ORIGINS = ("distilled", "rectools", "recbole", "onnx")


@dataclass(frozen=True)
class Figure:
    """One metric of one ranker on one split, with its 95 % interval.

    Attributes:
        row: the ranker's name, as in the result tables.
        student: the architecture's name; empty for what is no student.
        teacher_free: whether no LLM teacher had a part in it.
        protocol: which interactions it was trained on, see `Manifest.protocol`.
        split: "validation" or "test".
        targets: which examples count; "all" or a part of them, by the next item.
        metric: such as "NDCG@20".
        mean: over the examples, and over the seeds.
        low: lower end of the interval.
        high: upper end of the interval.
        seeds: the number of runs.
    """

    row: str
    student: str
    teacher_free: bool
    protocol: str
    split: str
    targets: str
    metric: str
    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Manifest:
    """The description of a bundle; written as JSON in the order of these fields.

    Attributes:
        model_version: a hash of all other fields, the hashes of the files included.
        origin: how the model was made, one of `ORIGINS`.
        protocol: "validation" for a model trained without the held-out interactions, "refit" for
            one that was trained again on all of them.
        trained_until: newest timestamp trained on, in ms since 1970; None if it is not known.
        metrics: the student's, by split, measured on this bundle as it is served.
        figures: the student, the baselines and the teacher, with intervals.
        verdict: one sentence on which baselines the student beats; empty if none was compared.
        parity_error: largest difference of a score from torch's.
        scorer: how scores are computed where not all items are scored exactly, else None.
        sha256: the hash of every other file, by name.
    """

    schema_version: int
    model_version: str
    origin: str
    student: str
    max_history_length: int
    num_items: int
    protocol: str
    trained_until: int | None
    metrics: Mapping[str, Any]
    figures: Sequence[Figure]
    verdict: str
    parity_error: float
    scorer: Mapping[str, Any] | None
    provenance: Mapping[str, Any]
    sha256: Mapping[str, str]


ABSENT_BEFORE_4: Mapping[str, Any] = MappingProxyType(
    {
        "origin": "distilled",
        "protocol": "validation",
        "trained_until": None,
        "figures": [],
        "verdict": "",
        "scorer": None,
    }
)

_FIGURE_CHECKS: Checks = {
    "row": TEXT,
    "student": TEXT,
    "teacher_free": FLAG,
    "protocol": one_of(*PROTOCOLS),
    "split": TEXT,
    "targets": TEXT,
    "metric": TEXT,
    "mean": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
    "seeds": COUNT,
}
_MANIFEST_CHECKS: Checks = {
    "schema_version": COUNT,
    "model_version": TEXT,
    "origin": one_of(*ORIGINS),
    "student": TEXT,
    "max_history_length": COUNT,
    "num_items": COUNT,
    "protocol": one_of(*PROTOCOLS),
    "trained_until": optional(WHOLE_NUMBER),
    "metrics": OBJECT,
    "figures": OBJECTS,
    "verdict": TEXT,
    "parity_error": NUMBER,
    "scorer": optional(OBJECT),
    "provenance": OBJECT,
    "sha256": TEXT_BY_NAME,
}


def render(manifest: Manifest) -> bytes:
    """The content of `manifest.json`."""
    return (json.dumps(_content(manifest), indent=2, ensure_ascii=False) + "\n").encode()


def with_version(manifest: Manifest) -> Manifest:
    """The manifest with the `model_version` that its other fields give."""
    content = _content(manifest) | {"model_version": ""}
    canonical = json.dumps(content, sort_keys=True, allow_nan=False).encode()
    return replace(manifest, model_version=hashlib.sha256(canonical).hexdigest()[:12])


def parse_manifest(path: Path, text: bytes) -> Manifest:
    """Reads and verifies the content of `manifest.json`.

    Raises:
        BundleError: the schema cannot be read, a field cannot be what was written, or a byte has
            changed since; the message names `path`.
    """
    content = parse_object(str(path), text)
    version = content.get("schema_version")
    if version not in READABLE_VERSIONS:
        raise BundleError(f"{path}: schema_version {version!r}, {_remedy(version)}")
    manifest = _build(content if version == SCHEMA_VERSION else _upgraded(content, path), path)
    if with_version(manifest) != manifest or render(manifest) != text:
        raise BundleError(f"{path}: changed since it was written (model_version does not match)")
    return manifest


def _remedy(version: object) -> str:
    readable = " and ".join(map(str, READABLE_VERSIONS))
    is_newer = isinstance(version, int) and version > SCHEMA_VERSION
    remedy = "serve it with a newer version" if is_newer else "run `python -m export CONFIG` again"
    return f"this program reads {readable}; {remedy}"


def _upgraded(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if unknown := ABSENT_BEFORE_4.keys() & content:
        raise BundleError(f"{path}: keys unknown to schema 3: {', '.join(sorted(unknown))}")
    return {**content, **ABSENT_BEFORE_4}


def _build(content: Mapping[str, Any], path: Path) -> Manifest:
    manifest = build(Manifest, content, _MANIFEST_CHECKS, str(path))
    figures = tuple(
        build(Figure, each, _FIGURE_CHECKS, f"{path}: figure {number}")
        for number, each in enumerate(content["figures"], start=1)
    )
    return replace(manifest, figures=figures)


def _content(manifest: Manifest) -> dict[str, Any]:
    """The fields that the manifest's schema has, in their order."""
    content = asdict(manifest)
    absent = ABSENT_BEFORE_4 if manifest.schema_version < SCHEMA_VERSION else ()
    return {each.name: content[each.name] for each in fields(manifest) if each.name not in absent}
