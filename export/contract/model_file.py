"""Reads and changes parts of an ONNX file, without ONNX's library, which the service does not have.

The file is a message of Protocol Buffers: a sequence of fields, each a key and a value. The key is
8 times the field's number, plus the kind of its value.
"""

from collections.abc import Collection, Iterator

_GRAPH, _OUTPUT, _NAME = 7, 12, 1  # fields of ModelProto, GraphProto and ValueInfoProto
_CONSTANT, _SIZES, _NAME_OF_CONSTANT = 5, 1, 8  # fields of GraphProto and TensorProto
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5
_FIXED_SIZES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}

Field = tuple[int, memoryview, memoryview]
"""Number of a field, its bytes, and the bytes of its value."""


def without_output(model: bytes, name: str) -> bytes:
    """Returns the ONNX file `model` without the graph's output `name`, if it has it.

    Raises:
        ValueError: `model` is not a message of Protocol Buffers.
    """
    pieces: list[bytes | memoryview] = []
    for number, field, value in _fields(memoryview(model)):
        if number == _GRAPH:
            graph = b"".join(
                part
                for inner, part, content in _fields(value)
                if inner != _OUTPUT or _name_of(content) != name
            )
            pieces += [_varint(8 * _GRAPH + _COUNTED), _varint(len(graph)), graph]
        else:
            pieces.append(field)
    return b"".join(pieces)


def shapes_of_constants(model: bytes, names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the constants `names` of an ONNX file's graph, by name.

    Constants that the graph lacks are left out.

    Raises:
        ValueError: `model` is not a message of Protocol Buffers.
    """
    shapes = (
        _name_and_shape(constant)
        for number, _, graph in _fields(memoryview(model))
        if number == _GRAPH
        for inner, _, constant in _fields(graph)
        if inner == _CONSTANT
    )
    return {name: shape for name, shape in shapes if name in names}


def _name_and_shape(constant: memoryview) -> tuple[str, tuple[int, ...]]:
    name, sizes = "", list[int]()
    for number, _, value in _fields(constant):
        if number == _NAME_OF_CONSTANT:
            name = str(value, "utf-8")
        elif number == _SIZES:  # a field has one size, or all of them
            sizes.extend(_read_varints(value))
    return name, tuple(sizes)


def _name_of(value_info: memoryview) -> str:
    return next((str(value, "utf-8") for n, _, value in _fields(value_info) if n == _NAME), "")


def _fields(message: memoryview) -> Iterator[Field]:
    end = 0
    while end < len(message):
        begin = end
        key, start = _read_varint(message, begin)
        number, kind = divmod(key, 8)
        if kind == _VARINT:
            _, end = _read_varint(message, start)
        elif kind == _COUNTED:
            size, start = _read_varint(message, start)
            end = start + size
        elif kind in _FIXED_SIZES:
            end = start + _FIXED_SIZES[kind]
        else:
            raise ValueError(f"byte {begin}: no field of a message")
        if end > len(message):
            raise ValueError(f"byte {begin}: a field is longer than its message")
        yield number, message[begin:end], message[start:end]


def _read_varint(message: memoryview, begin: int) -> tuple[int, int]:
    """Returns the whole number that begins at byte `begin`, and the place after it."""
    number = 0
    for place, byte in enumerate(message[begin : begin + 10]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, begin + place + 1
    raise ValueError(f"byte {begin}: no whole number")


def _read_varints(message: memoryview) -> Iterator[int]:
    end = 0
    while end < len(message):
        number, end = _read_varint(message, end)
        yield number


def _varint(number: int) -> bytes:
    """Encodes a whole number: seven bits a byte, the lowest first; all bytes but the last ≥ 128."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
