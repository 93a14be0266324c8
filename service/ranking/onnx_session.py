"""Opens and runs the ONNX graphs of a student in onnxruntime."""

import io
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.bundle import Bundle, BundleError, BundleLayout
from export.contract.model_file import shapes_of_constants, without_output
from export.contract.tensors import TENSORS
from service.errors import StudentError
from service.setting_parts.bundles import DEFAULT_PROVIDER

CPU = (DEFAULT_PROVIDER,)

Feeds = Mapping[str, NDArray[np.generic]]
"""Input arrays of a graph by the names of its inputs."""

Tables = Mapping[str, NDArray[Any]]
"""Constants of a graph by name; read-only views of mapped files, which processes share."""

_MAX_HEADER = 4_096  # bytes; NumPy writes headers of 128 bytes
_TYPES = ("<f4", "|i1")
_FOLDER_OF_TABLES = "session.model_external_initializers_file_folder_path"


@dataclass(frozen=True, slots=True)
class GraphFile:
    """The content of an ONNX file.

    Attributes:
        path: path of the file, for error messages.
        content: bytes of the file.
        tables: constants of the graph that lie in other files, by name. onnxruntime does not copy
            them, so they must live as long as the session.
    """

    path: Path
    content: bytes
    tables: Tables = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "GraphFile":
        """Reads the file at `path`, and memory-maps the constants that the export stored beside it.

        Raises OSError if a file cannot be read.
        """
        beside = [each for each in BundleLayout(path.parent).tables if each.exists()]
        tables = {each.stem: np.load(each, mmap_mode="r", allow_pickle=False) for each in beside}
        return cls(path, path.read_bytes(), tables)


def open_session(
    graph: GraphFile, names: Sequence[str], providers: Sequence[str] = CPU
) -> ort.InferenceSession:
    """Opens `graph` in onnxruntime and checks that it has an input or output for each of `names`.

    If `has_table(providers)` is false, the session has no output `table`, whatever the graph has.

    `providers`: names of execution providers, the preferred one first. The CPU runs the nodes that
    none of them supports.

    Raises:
        BundleError: onnxruntime cannot open the graph or start a provider, the graph lacks one of
            `names`, or a constant in a file of its own has another shape than the graph needs.
    """
    _check_shapes(graph)
    try:
        options = _session_options()
        if graph.tables:
            options.add_session_config_entry(_FOLDER_OF_TABLES, str(graph.path.parent))
        # The options do not own these values, which must therefore live until the session is open.
        values = {
            name: ort.OrtValue.ortvalue_from_numpy(table) for name, table in graph.tables.items()
        }
        for name, value in values.items():
            options.add_initializer(name, value)
        keeps_table = has_table(providers)
        content = graph.content if keeps_table else without_output(graph.content, TENSORS.table)
        session = ort.InferenceSession(content, options, providers=[*providers])
    except Exception as error:  # onnxruntime's errors have no common base class
        raise BundleError(f"{graph.path}: {error}") from error
    # Without its driver, onnxruntime leaves a provider out and only logs this.
    if absent := [each for each in providers if each not in session.get_providers()]:
        raise BundleError(
            f"{graph.path}: onnxruntime cannot start {', '.join(absent)}; install its driver or "
            "leave it out of EXECUTION_PROVIDERS"
        )
    present = {each.name for each in (*session.get_inputs(), *session.get_outputs())}
    removed = set() if keeps_table else {TENSORS.table}
    if missing := [name for name in names if name not in present | removed]:
        raise BundleError(f"{graph.path}: no input or output {', '.join(missing)}")
    return session


def has_table(providers: Sequence[str]) -> bool:
    """Returns whether sessions of `providers` have the output `table`: only the CPU's alone do.

    The output is a constant of the graph, which OpenVINO's provider refuses as "duplicate
    definition", and which is not needed on a device.
    """
    return tuple(providers) == CPU


def shared_tables(bundle: Bundle) -> Tables:
    """Memory-maps the constants of the bundle's ranking graph that lie in files of their own.

    Returns an array for each constant, by name.

    Raises:
        BundleError: a file has changed on disk since the bundle was loaded, or is not of the form
            that the export writes.
    """
    layout = BundleLayout(bundle.folder)
    return {
        name: _array(content, layout.folder / f"{name}.npy")
        for name, content in bundle.map_tables().items()
    }


def run_session(session: ort.InferenceSession, outputs: Sequence[str], feeds: Feeds) -> list[Any]:
    """Runs a graph once and returns an array for each name in `outputs`, in this order.

    `feeds`: an array for each input of the graph, by name.

    Raises:
        StudentError: onnxruntime failed.
    """
    try:
        arrays: list[Any] = session.run(outputs, feeds)
    except Exception as error:  # onnxruntime's errors have no common base class
        raise StudentError(str(error)) from error
    return arrays


def _check_shapes(graph: GraphFile) -> None:
    """Raises BundleError if a constant in a file of its own has not the shape that `graph` names.

    onnxruntime does not compare them, and may fail only at a query that reads what is missing.
    """
    if not graph.tables:
        return
    try:
        needed = shapes_of_constants(graph.content, graph.tables)
    except ValueError as error:
        raise BundleError(f"{graph.path}: {error}") from error
    for name, shape in needed.items():
        if (found := graph.tables[name].shape) != shape:
            raise BundleError(
                f"{graph.path.with_name(f'{name}.npy')}: shape {found}, {graph.path.name} needs "
                f"{shape}; export the bundle again"
            )


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


def _array(content: mmap.mmap, path: Path) -> NDArray[Any]:
    header = io.BytesIO(content[:_MAX_HEADER])
    try:
        if np.lib.format.read_magic(header) != (1, 0):
            raise BundleError(f"{path}: not version 1.0 of NumPy's format")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(header)
        if is_fortran or dtype.str not in _TYPES:
            raise BundleError(f"{path}: {dtype.str}, must be one of {', '.join(_TYPES)} in C order")
        array = np.frombuffer(content, dtype, offset=header.tell())
        return array.reshape(shape)
    except ValueError as error:
        raise BundleError(f"{path}: {error}") from error
