"""Opens the title encoder that a teacher's settings name."""

from training.settings.teacher import REMOTE_PREFIX, SENTENCE_PREFIX, TeacherConfig
from training.teacher.encoders.encoder import TitleEncoder
from training.teacher.encoders.local import LocalEncoder
from training.teacher.encoders.remote import RemoteEncoder
from training.teacher.encoders.sentence import load_sentence_encoder
from training.teacher.endpoint.client import open_endpoint
from training.teacher.tuning.tuned_model import language_model


def title_encoder(config: TeacherConfig) -> TitleEncoder:
    """Opens the encoder that `config.model` names; a server is not asked anything yet.

    Raises:
        ConfigError: the model cannot be loaded, or the key of the server cannot be sent.
    """
    if config.model.startswith(REMOTE_PREFIX):
        name = config.model.removeprefix(REMOTE_PREFIX)
        model = config.endpoint.embedding_model or name
        return RemoteEncoder(open_endpoint(config.endpoint), model, config.title_prefix or "")
    if config.model.startswith(SENTENCE_PREFIX):
        return load_sentence_encoder(config)
    return LocalEncoder(language_model(config), config.tokens_per_batch)
