"""The manifest of a bundle, which describes the student, its metrics and its origin.

The manifest is written to `manifest.json` with schema version 4. Manifests with schema version 3
can be read too: fields that version 4 added then get the values of `ABSENT_BEFORE_4`. This module
imports the standard library only.
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
    MAX_LINES,
    NAME,
    NUMBER,
    OBJECT,
    OBJECTS,
    TEXT,
    TEXT_BY_NAME,
    WHOLE_NUMBER,
    BundleError,
    Checks,
    build,
    check_values,
    one_of,
    optional,
    parse_object,
    shown,
    whole_number,
)

SCHEMA_VERSION = 4
READABLE_VERSIONS = (3, 4)

MAX_HISTORY_LENGTH = 4_096
PROTOCOLS = ("validation", "refit")
SHOWN_METRICS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20")
"""Metrics that programs print, of all in a manifest."""

ORIGINS = ("distilled", "rectools", "recbole", "onnx")

NUM_TRUSTED = 256
"""Number of the best items that an approximate search trusts.

It scores the whole catalog if fewer than `k` of these items may be recommended.
"""


@dataclass(frozen=True)
class Figure:
    """One metric of one ranker on one split, with its 95 % interval.

    Attributes:
        row: name of the ranker in result tables.
        student: name of the student's architecture; empty if the ranker is not a student.
        teacher_free: whether the ranker was made without an LLM teacher.
        protocol: "validation" if the ranker was trained without the held-out interactions,
            "refit" if it was trained again on held-out interactions, too.
        split: "validation" or "test".
        targets: which examples count, by their next items: "all", or a part such as "cold".
        metric: name of the metric, such as "NDCG@20".
        mean: mean of the metric over examples and seeds.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        seeds: number of seeds that the mean is taken over.
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
    """The description of a bundle, written as JSON in the order of these fields.

    Attributes:
        schema_version: version of the schema, which is this list of fields.
        model_version: hash of all other fields, among them the hashes of the files.
        origin: program that trained the model, one of `ORIGINS`.
        student: kind of the student, such as "sasrec".
        max_history_length: number of newest items that the student reads.
        num_items: number of items in the catalog, without padding.
        protocol: "validation" for a model trained without the held-out interactions, "refit" for
            a model that was trained again on held-out interactions, too.
        trained_until: time of the newest interaction trained on, in ms since 1970; None: unknown.
        metrics: the seed of the student's training, and the student's metrics for each split,
            measured on the exported graphs.
        figures: metrics of the student, the baselines and the teacher, with intervals; can be
            empty.
        verdict: the sentence that says which baselines the student beats; empty if the student was
            not compared with any.
        parity_error: largest absolute difference between a score of the exported graphs and the
            same score in torch.
        scorer: how a large catalog is searched: "kind" ("pruned": exact with proof, "approximate"),
            the rule that chose it, and the figures of all searches measured; None: the catalog is
            small, and answers are exact.
        provenance: what the bundle was made from: commit, dataset, knowledge, checkpoint, settings.
        sha256: SHA-256 in hexadecimal of every file except manifest and signature, by file name.
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
    "row": NAME,
    "student": NAME,
    "teacher_free": FLAG,
    "protocol": one_of(*PROTOCOLS),
    "split": NAME,
    "targets": NAME,
    "metric": NAME,
    "mean": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
    "seeds": COUNT,
}
_MANIFEST_CHECKS: Checks = {
    "schema_version": COUNT,
    "model_version": NAME,
    "origin": one_of(*ORIGINS),
    "student": NAME,
    "max_history_length": whole_number(1, MAX_HISTORY_LENGTH),
    "num_items": whole_number(0, MAX_LINES),
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


def is_approximate(scorer: Mapping[str, Any] | None) -> bool:
    """Returns whether a graph's answers may lack some of the best items.

    `scorer`: value of `Manifest.scorer`; None, the search of a small catalog, is exact.
    """
    return scorer is not None and scorer.get("kind") == "approximate"


def render(manifest: Manifest) -> bytes:
    """Renders a manifest as the content of `manifest.json`."""
    return (json.dumps(_content(manifest), indent=2, ensure_ascii=False) + "\n").encode()


def with_version(manifest: Manifest) -> Manifest:
    """Returns a copy of a manifest with its `model_version`, the hash of all other fields."""
    content = _content(manifest) | {"model_version": ""}
    canonical = json.dumps(content, sort_keys=True, allow_nan=False).encode()
    return replace(manifest, model_version=hashlib.sha256(canonical).hexdigest()[:12])


def parse_manifest(path: Path, text: bytes) -> Manifest:
    """Parses `text`, the content of the file `path`, and verifies its `model_version`.

    Raises:
        BundleError: the schema version cannot be read, a field is missing, unknown or has a value
            that is not allowed, or the text was changed after it was written. The message names
            `path`.
    """
    content = parse_object(str(path), text)
    check_values(str(path), content)
    version = content.get("schema_version")
    if version not in READABLE_VERSIONS:
        raise BundleError(f"{path}: schema_version {shown(repr(version))}, {_remedy(version)}")
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
        raise BundleError(f"{path}: schema 3 has no keys {', '.join(sorted(unknown))}")
    return {**content, **ABSENT_BEFORE_4}


def _build(content: Mapping[str, Any], path: Path) -> Manifest:
    manifest = build(Manifest, content, _MANIFEST_CHECKS, str(path))
    figures = tuple(
        build(Figure, each, _FIGURE_CHECKS, f"{path}: figure {number}")
        for number, each in enumerate(content["figures"], start=1)
    )
    return replace(manifest, figures=figures)


def _content(manifest: Manifest) -> dict[str, Any]:
    """Returns the manifest's values by field name, without fields that its schema version lacks."""
    content = asdict(manifest)
    absent = ABSENT_BEFORE_4 if manifest.schema_version < SCHEMA_VERSION else ()
    return {each.name: content[each.name] for each in fields(manifest) if each.name not in absent}
