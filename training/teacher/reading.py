"""Reading: the LLM passes over every history once, and each answer's hidden state is kept.

This is the expensive part of a teacher, so it is cut into shards that survive a kill: a shard on
disk is never computed again, and a resumed reading ends in the same bytes as an uninterrupted one.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from training.config import TeacherConfig
from training.data.dataset import Dataset, Split
from training.stage import fingerprint, write_array_atomically, write_atomically
from training.teacher.language_model import LanguageModel, load_language_model
from training.teacher.prompts import PROMPT_VERSION, Phrasebook, TokenIds, phrasebook
from training.teacher.windows import (
    Window,
    plan_windows,
    prompt_batch,
    prompt_lengths,
    token_bounded,
)

BATCHES_PER_SHARD = 16
PREDICTED = (Split.TRAIN, Split.VALIDATION, Split.TEST)


@dataclass(frozen=True)
class States:
    """`rows` `[examples]`, ascending, and the LLM's state `[examples, hidden]` before each."""

    rows: NDArray[np.int64]
    states: NDArray[np.float16]

    def of(self, rows: NDArray[np.int64]) -> "States":
        """The states of some of the rows, in their order."""
        return States(rows, self.states[np.searchsorted(self.rows, rows)])

    def slice(self, begin: int, end: int) -> "States":
        """The examples from `begin` to before `end`."""
        return States(self.rows[begin:end], self.states[begin:end])


@dataclass(frozen=True)
class Reading:
    """All that the LLM is needed for.

    Attributes:
        states: before every example of the dataset, all splits.
        title_embeddings: `[catalog rows, hidden]`, row 0 zeros.
        tokens: how many the LLM read in the histories.
        seconds: how long that took, killed runs' finished shards included.
    """

    states: States
    title_embeddings: NDArray[np.float32]
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Shard:
    """Some batches of windows: their states in `path`, what they cost in `ledger` beside it."""

    path: Path
    batches: Sequence[Sequence[Window]]
    tokens: int

    @property
    def ledger(self) -> Path:
        """Written last: a shard with a ledger is whole."""
        return self.path.with_suffix(".json")

    @property
    def seconds(self) -> float:
        """How long reading it took."""
        return float(json.loads(self.ledger.read_text(encoding="utf-8"))["seconds"])


def read_everything(dataset: Dataset, config: TeacherConfig, folder: Path) -> Reading:
    """Lets the LLM read each title and each history once; goes on where a killed run stopped."""
    model = load_language_model(config.model, config.precision)
    book = phrasebook(model.tokenizer, dataset.catalog)
    stamp = fingerprint(
        PROMPT_VERSION,
        dataset.fingerprint,
        config.model_dump(
            include={"model", "max_titles", "overlap", "precision", "tokens_per_batch"}
        ),
    )
    titles = folder / stamp / "titles.npy"
    titles.parent.mkdir(parents=True, exist_ok=True)
    if not titles.exists():
        write_array_atomically(titles, embed_titles(model, book, config.tokens_per_batch))
    shards = plan_shards(dataset, book, config, titles.parent)
    _read_missing(model, book, dataset, shards)
    return Reading(
        states=_gathered(shards),
        title_embeddings=np.load(titles),
        tokens=sum(shard.tokens for shard in shards),
        seconds=sum(shard.seconds for shard in shards),
    )


def plan_shards(
    dataset: Dataset, book: Phrasebook, config: TeacherConfig, folder: Path
) -> list[Shard]:
    """Cuts the reading of every example into shards, the same on every run."""
    rows = np.sort(np.concatenate([dataset.example_rows(split) for split in PREDICTED]))
    windows = plan_windows(dataset, rows, config.max_titles, config.overlap)
    lengths = prompt_lengths(dataset, book, windows)
    batches = list(token_bounded(lengths, config.tokens_per_batch))
    chunks = {
        start: batches[start : start + BATCHES_PER_SHARD]
        for start in range(0, len(batches), BATCHES_PER_SHARD)
    }
    return [
        Shard(
            path=folder / f"states-{start:05d}.npy",
            batches=[[windows[index] for index in batch] for batch in chunk],
            tokens=sum(int(lengths[batch].sum()) for batch in chunk),
        )
        for start, chunk in chunks.items()
    ]


def _read_missing(
    model: LanguageModel, book: Phrasebook, dataset: Dataset, shards: Sequence[Shard]
) -> None:
    missing = [shard for shard in shards if not shard.ledger.exists()]
    total, to_read = (sum(each.tokens for each in some) for some in (shards, missing))
    with tqdm(
        total=total,
        initial=total - to_read,
        desc="reading histories",
        unit="token",
        unit_scale=True,
    ) as bar:
        for shard in missing:
            began = time.perf_counter()
            states = [_read(model, book, dataset, windows) for windows in shard.batches]
            write_array_atomically(shard.path, np.concatenate(states))
            cost = {"tokens": shard.tokens, "seconds": round(time.perf_counter() - began, 1)}
            write_atomically(shard.ledger, json.dumps(cost))
            bar.update(shard.tokens)


def _gathered(shards: Sequence[Shard]) -> States:
    windows = [window for shard in shards for batch in shard.batches for window in batch]
    rows = np.concatenate([window.targets for window in windows])
    states = np.concatenate([np.load(shard.path) for shard in shards])
    order = np.argsort(rows)
    return States(rows[order], states[order])


@torch.inference_mode()
def _read(
    model: LanguageModel, book: Phrasebook, dataset: Dataset, windows: Sequence[Window]
) -> NDArray[np.float16]:
    batch = prompt_batch(dataset, book, windows)
    states = hidden_states(model, torch.from_numpy(batch.tokens))
    return kept(states[torch.from_numpy(batch.line), torch.from_numpy(batch.place)])


def kept(states: Tensor) -> NDArray[np.float16]:
    """States as they are stored and matched."""
    return states.to("cpu", torch.float16).numpy()


def hidden_states(model: LanguageModel, tokens: Tensor) -> Tensor:
    """Last hidden states `[prompts, tokens, hidden]` of right-padded `[prompts, tokens]`."""
    tokens = tokens.to(next(model.decoder.parameters()).device)
    states: Tensor = model.decoder(input_ids=tokens, use_cache=False).last_hidden_state
    return states


def embed_titles(
    model: LanguageModel, book: Phrasebook, tokens_per_batch: int
) -> NDArray[np.float32]:
    """How the LLM sees each title of the catalog alone, `[catalog rows, hidden]`; row 0 zeros."""
    embeddings = np.zeros((len(book.titles), model.hidden_size), dtype=np.float32)
    lengths = np.array([len(title) for title in book.titles[1:]])
    batches = list(token_bounded(lengths, tokens_per_batch))
    for batch in tqdm(batches, desc="embedding titles", unit="batch"):
        embeddings[batch + 1] = mean_states(model, [book.titles[index + 1] for index in batch])
    return embeddings


@torch.inference_mode()
def mean_states(model: LanguageModel, lines: Sequence[TokenIds]) -> NDArray[np.float32]:
    """The mean of the LLM's states over each line, read in one batch, `[lines, hidden]`."""
    tokens = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(line) for line in lines], batch_first=True
    )
    states = hidden_states(model, tokens).float().cpu()
    lengths = torch.tensor([len(line) for line in lines])[:, None]
    real = torch.arange(tokens.shape[1]) < lengths  # [lines, tokens]
    means: NDArray[np.float32] = ((states * real[:, :, None]).sum(dim=1) / lengths).numpy()
    return means
