"""Opens and runs the ONNX graphs of a student in onnxruntime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.bundle import BundleError
from service.errors import StudentError
from service.setting_parts.bundles import DEFAULT_PROVIDER

CPU = (DEFAULT_PROVIDER,)

Feeds = Mapping[str, NDArray[np.generic]]
"""Input arrays of a graph by the names of its inputs."""


@dataclass(frozen=True, slots=True)
class GraphFile:
    """The content of an ONNX file, and its path for error messages."""

    path: Path
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "GraphFile":
        """Reads the file at `path`; raises OSError if it cannot be read."""
        return cls(path, path.read_bytes())


def open_session(
    graph: GraphFile, names: Sequence[str], providers: Sequence[str] = CPU
) -> ort.InferenceSession:
    """Opens `graph` in onnxruntime and checks that it has an input or output for each of `names`.

    `providers`: names of execution providers, the preferred one first. The CPU's runs the rest.

    Raises:
        BundleError: onnxruntime cannot open the graph or start a provider, or the graph lacks one
            of `names`.
    """
    try:
        session = ort.InferenceSession(graph.content, _session_options(), providers=[*providers])
    except Exception as error:  # onnxruntime's errors have no common base class
        raise BundleError(f"{graph.path}: {error}") from error
    # Without its driver, onnxruntime leaves a provider out and only logs this.
    if absent := [each for each in providers if each not in session.get_providers()]:
        raise BundleError(
            f"{graph.path}: onnxruntime cannot start {', '.join(absent)}; install its driver or "
            "leave it out of EXECUTION_PROVIDERS"
        )
    present = {each.name for each in (*session.get_inputs(), *session.get_outputs())}
    if missing := [name for name in names if name not in present]:
        raise BundleError(f"{graph.path}: no input or output {', '.join(missing)}")
    return session


def run_session(session: ort.InferenceSession, outputs: Sequence[str], feeds: Feeds) -> list[Any]:
    """Runs a graph once and returns an array for each name in `outputs`, in this order.

    Raises:
        StudentError: onnxruntime failed.
    """
    try:
        arrays: list[Any] = session.run(outputs, feeds)
    except Exception as error:  # onnxruntime's errors have no common base class
        raise StudentError(str(error)) from error
    return arrays


def _session_options() -> ort.SessionOptions:
    # One thread only: a run takes less than a millisecond, and waking further threads would take
    # longer than they save.
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
