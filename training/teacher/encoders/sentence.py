"""Embeds titles with a sentence encoder: a transformer, a pooling, perhaps a normalisation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from training.errors import ConfigError
from training.progress import Advance
from training.settings.teacher import SENTENCE_PREFIX, TeacherConfig
from training.stage import write_array
from training.teacher.encoders.encoder import first_items, one_batch_shards, text_of
from training.teacher.encoders.sentence_files import (
    SentenceModules,
    SentencePooling,
    find_folder,
    read_modules,
)
from training.teacher.llm.language_model import UNLOADABLE, placed
from training.teacher.llm.shards import Shard, ShardedWork
from training.teacher.llm.windows import token_bounded

MAX_TITLE_TOKENS = 256  # of a text, also where the encoder reads longer ones
TINY = 1e-12  # smallest length that a vector is divided by, as in torch's `normalize`

TokenIds = list[int]


@dataclass(frozen=True)
class SentenceEncoder:
    """A sentence encoder of sentence-transformers' format; a `TitleEncoder`.

    Attributes:
        name: the name that the encoder was loaded by.
        model: the transformer.
        tokenizer: its tokenizer.
        modules: pooling, normalisation and limits.
        prefix: text before each title.
        tokens_per_batch: maximum number of tokens in a batch, padding included.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    modules: SentenceModules
    prefix: str
    tokens_per_batch: int

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles, `[titles, size]`."""
        lines = self._tokens(titles)
        embeddings = np.zeros((len(titles), self.model.config.hidden_size), dtype=np.float32)
        for batch in self._batches(lines):
            embeddings[batch] = self._embed([lines[index] for index in batch])
        return embeddings

    def plan(self, titles: Sequence[str], folder: Path) -> ShardedWork[int]:
        """Implements `TitleEncoder.plan`; a title that several items have is read once."""
        items = list(first_items(titles).values())
        lines = dict(zip(items, self._tokens([titles[item - 1] for item in items]), strict=True))
        lengths = np.array([len(line) for line in lines.values()])
        batches = list(self._batches(list(lines.values())))

        def embed(shard: Shard[int], advance: Advance) -> int:
            write_array(shard.path, self._embed([lines[item] for item in shard.batches[0]]))
            advance(shard.tokens)
            return shard.tokens

        shards = one_batch_shards(batches, items, lengths, folder)
        return ShardedWork("reading titles", shards, embed)

    def _batches(self, lines: Sequence[TokenIds]) -> Iterator[NDArray[np.int64]]:
        return token_bounded(np.array([len(line) for line in lines]), self.tokens_per_batch)

    def _tokens(self, titles: Sequence[str]) -> list[TokenIds]:
        texts = [text_of(title, self.prefix) for title in titles]
        if self.modules.is_lowered:
            texts = [text.lower() for text in texts]
        limits = (self.modules.max_tokens, self._longest, MAX_TITLE_TOKENS)
        most = min(limit for limit in limits if limit)
        tokens: list[TokenIds] = self.tokenizer(texts, truncation=True, max_length=most)[
            "input_ids"
        ]
        return tokens

    @property
    def _longest(self) -> int | None:
        longest: int | None = getattr(self.model.config, "max_position_embeddings", None)
        return longest

    @torch.inference_mode()
    def _embed(self, lines: Sequence[TokenIds]) -> NDArray[np.float32]:
        tokens = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(line) for line in lines],
            batch_first=True,
            padding_value=self.tokenizer.pad_token_id or 0,
        )
        lengths = torch.tensor([len(line) for line in lines])
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]  # [titles, tokens]
        device = self.model.device
        tokens, mask = tokens.to(device), mask.to(device)
        states = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        vectors = sentence_vectors(states.float(), mask, self.modules.pooling)
        if self.modules.is_normalised:
            vectors = torch.nn.functional.normalize(vectors, eps=TINY)
        embeddings: NDArray[np.float32] = vectors.cpu().numpy()
        return embeddings


def sentence_vectors(states: Tensor, mask: Tensor, pooling: SentencePooling) -> Tensor:
    """Returns a vector for each text, `[texts, hidden]`, from its tokens alone, not from padding.

    Args:
        states: `[texts, tokens, hidden]`, states padded on the right.
        mask: `[texts, tokens]`, whether there is a token.
        pooling: the mean or the maximum of the states, or the first or the last one.
    """
    if pooling == "cls":
        return states[:, 0]
    if pooling == "lasttoken":
        return states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1]
    if pooling == "max":
        return states.masked_fill(~mask[:, :, None], -torch.inf).amax(dim=1)
    return (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def load_sentence_encoder(config: TeacherConfig) -> SentenceEncoder:
    """Loads the sentence encoder that `config.model` names, in evaluation mode.

    Raises:
        ConfigError: the encoder or the device is missing, or cannot be used.
    """
    name = config.model.removeprefix(SENTENCE_PREFIX)
    modules = read_modules(find_folder(name))
    try:
        # Never from a pickle, and never with code of the encoder's own folder.
        model = AutoModel.from_pretrained(
            modules.transformer, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(modules.transformer, trust_remote_code=False)
    except UNLOADABLE as error:
        raise ConfigError(f"teacher.model = {config.model!r}: cannot be loaded ({error})") from None
    if model.config.is_encoder_decoder:
        raise ConfigError(
            f"teacher.model = {config.model!r}: encoders with a decoder cannot be read here"
        )
    prefix = modules.prompt if config.title_prefix is None else config.title_prefix
    return SentenceEncoder(
        name,
        placed(model, config.precision, config.device),
        tokenizer,
        modules,
        prefix,
        config.tokens_per_batch,
    )
