from pathlib import Path

import pytest
import torch

from training.errors import ConfigError
from training.teacher.language_model import PACKAGED_MODEL, load_language_model


def test_a_folder_without_a_model_is_refused_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.model = .*cannot be loaded"):
        load_language_model(str(tmp_path))


@pytest.mark.slow
def test_the_packaged_smollm2_reads_and_can_be_saved(tmp_path: Path) -> None:
    model = load_language_model(PACKAGED_MODEL)
    tokens = torch.tensor([model.tokenizer("The capital of France is")["input_ids"]])
    with torch.inference_mode():
        states = model.hidden_states(tokens)
    assert states.shape == (1, tokens.shape[1], 576)
    assert torch.isfinite(states).all()
    model.causal.save_pretrained(tmp_path)  # a quantised model would refuse
    assert (tmp_path / "config.json").exists()
