"""Finds and reads the folder of a sentence encoder, in the format of sentence-transformers.

`modules.json` lists the modules: a transformer, a pooling, and perhaps a normalisation. A folder
without it is a transformer whose states are averaged, as sentence-transformers reads it too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from huggingface_hub import snapshot_download

from training.errors import ConfigError

MODULES_NAME, CONFIG_NAME = "modules.json", "config.json"
# Never a pickle, which could run code, and no weights in other formats.
PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors"]

SentencePooling = Literal["mean", "cls", "lasttoken", "max"]
_POOLING_OF_FLAG: Mapping[str, SentencePooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
}


@dataclass(frozen=True)
class SentenceModules:
    """The modules of a sentence encoder.

    Attributes:
        transformer: folder of the transformer and its tokenizer.
        pooling: how the states of tokens become one vector.
        is_normalised: whether vectors are scaled to unit length.
        max_tokens: maximum number of tokens of a text; None for the transformer's own limit.
        is_lowered: whether texts are read in lower case.
        prompt: text before each text; empty for none.
    """

    transformer: Path
    pooling: SentencePooling
    is_normalised: bool
    max_tokens: int | None
    is_lowered: bool
    prompt: str


def find_folder(name: str) -> Path:
    """Returns the folder of a sentence encoder; a Hugging Face model is downloaded if need be.

    Args:
        name: a folder, an installed Python package with such a folder, or a Hugging Face name.

    Raises:
        ConfigError: there is no such encoder.
    """
    if Path(name).is_dir():
        return Path(name)
    packaged = _folder_in_package(name)
    if packaged is not None:
        return packaged
    try:
        return Path(snapshot_download(name, allow_patterns=PATTERNS))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"teacher.model: {name!r} is no folder, no installed package with {MODULES_NAME}, and "
            f"cannot be had from Hugging Face ({str(error).splitlines()[0]})"
        ) from None


def read_modules(folder: Path) -> SentenceModules:
    """Reads which modules a sentence encoder has.

    Raises:
        ConfigError: a file is missing or damaged, or a module or its setting is not supported.
    """
    try:
        return _modules(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"teacher.model: {folder} is damaged ({type(error).__name__}: {error}); it must be the "
            "folder of a sentence-transformers model"
        ) from None


def _folder_in_package(name: str) -> Path | None:
    try:
        package = distribution(name)
    except (PackageNotFoundError, ValueError):
        return None
    for file in package.files or ():
        if PurePosixPath(file).name == MODULES_NAME:
            return Path(str(package.locate_file(file))).parent
    return None


def _modules(folder: Path) -> SentenceModules:
    transformer, pooling, is_normalised = folder, "mean", False
    if (folder / MODULES_NAME).exists():
        modules = _json(folder / MODULES_NAME)
        kinds = [str(each["type"]).rsplit(".", 1)[-1] for each in modules]
        if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            raise ConfigError(
                f"teacher.model: {folder} has the modules {', '.join(kinds)}; only Transformer, "
                "Pooling and Normalize, in this order, can be read here. Serve it by a program "
                "with OpenAI's API, and name it openai:NAME"
            )
        transformer, pooling = folder / modules[0]["path"], _pooling(folder, modules)
        is_normalised = "Normalize" in kinds
    settings = _json_or_empty(transformer / "sentence_bert_config.json")
    return SentenceModules(
        transformer=transformer,
        pooling=pooling,  # type: ignore[arg-type]
        is_normalised=is_normalised,
        max_tokens=settings.get("max_seq_length"),
        is_lowered=bool(settings.get("do_lower_case")),
        prompt=_prompt(folder),
    )


def _pooling(folder: Path, modules: Sequence[Mapping[str, str]]) -> SentencePooling:
    path = folder / modules[1]["path"] / CONFIG_NAME
    config = _json(path)
    if not config.get("include_prompt", True):
        raise ConfigError(f"{path}: include_prompt = false is not supported; it must be true")
    chosen = config.get("pooling_mode")
    flags = [flag for flag, value in config.items() if flag.startswith("pooling_mode_") and value]
    if chosen is None and len(flags) == 1:
        chosen = _POOLING_OF_FLAG.get(flags[0])
    if chosen not in get_args(SentencePooling):
        raise ConfigError(
            f"{path}: pooling {chosen or ', '.join(flags) or 'none'}: must be one of "
            f"{', '.join(get_args(SentencePooling))}"
        )
    pooling: SentencePooling = chosen
    return pooling


def _prompt(folder: Path) -> str:
    settings = _json_or_empty(folder / "config_sentence_transformers.json")
    name = settings.get("default_prompt_name")
    return "" if name is None else str(settings["prompts"][name])


def _json_or_empty(path: Path) -> dict[str, Any]:
    return dict(_json(path)) if path.exists() else {}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
