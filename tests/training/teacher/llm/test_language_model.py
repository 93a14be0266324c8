import shutil
from pathlib import Path

import pytest
import torch

from training.errors import ConfigError
from training.teacher.llm.language_model import load_language_model


def test_a_folder_without_a_model_is_refused_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.model = .*cannot be loaded"):
        load_language_model(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"\x40"),
        ("config.json", b"{"),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"[]"),
        ("tokenizer_config.json", b"[]"),
    ],
)
def test_a_model_with_a_damaged_file_is_refused_by_its_setting(
    tiny_language_model_path: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = shutil.copytree(tiny_language_model_path, tmp_path / "damaged")
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"teacher\.model = .*damaged': cannot be loaded"):
        load_language_model(str(folder))


def test_a_truncated_model_returns_the_states_of_its_first_layers(
    any_language_model_path: Path,
) -> None:
    name, tokens = str(any_language_model_path), torch.arange(2, 12)[None]
    whole = load_language_model(name).causal
    cut = load_language_model(name, layers=1)
    # The states between the layers are as they are; the last norm is the whole model's.
    norm = getattr(whole.base_model, "norm", None) or whole.base_model.ln_f
    with torch.inference_mode():
        between = whole(tokens, output_hidden_states=True).hidden_states[1]
        torch.testing.assert_close(cut.hidden_states(tokens), norm(between))


def test_a_truncated_model_can_be_saved_and_loaded(
    any_language_model_path: Path, tmp_path: Path
) -> None:
    cut, tokens = (
        load_language_model(str(any_language_model_path), layers=1),
        torch.ones(1, 3).long(),
    )
    cut.causal.save_pretrained(tmp_path)
    cut.tokenizer.save_pretrained(tmp_path)
    with torch.inference_mode():
        again = load_language_model(str(tmp_path)).hidden_states(tokens)
        torch.testing.assert_close(again, cut.hidden_states(tokens))


def test_a_forward_pass_reports_each_layer_and_leaves_its_states_unchanged(
    any_language_model_path: Path,
) -> None:
    model, tokens = load_language_model(str(any_language_model_path)), torch.arange(2, 12)[None]
    reported: list[float] = []
    with torch.inference_mode():
        expected = model.hidden_states(tokens)
        with model.reporting_layers(reported.append, 10):
            states = model.hidden_states(tokens)
        model.hidden_states(tokens)  # outside of the block, nothing is reported
    assert reported == [5, 5]
    assert torch.equal(states, expected)


def test_more_layers_than_a_model_has_are_refused(tiny_language_model_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.layers = 3: must be at most 2, .*tiny-llama'"):
        load_language_model(str(tiny_language_model_path), layers=3)


@pytest.mark.parametrize(
    ("has_products", "dtype"), [(True, torch.bfloat16), (False, torch.float32)]
)
def test_weights_in_bfloat16_compute_in_float32_where_the_processor_has_no_such_products(
    tiny_language_model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_products: bool,
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(
        "training.teacher.llm.language_model.multiplies_halves", lambda _: has_products
    )
    name = str(tiny_language_model_path)
    causal = load_language_model(name, "bfloat16", "cpu").causal
    assert causal.dtype == dtype
    whole = dict(load_language_model(name, "float32", "cpu").causal.named_parameters())
    for each, weight in causal.named_parameters():
        torch.testing.assert_close(weight, whole[each].bfloat16().to(dtype), rtol=0, atol=0)


@pytest.mark.slow
def test_the_packaged_smollm2_can_be_saved_and_runs(smollm2_path: Path) -> None:
    model = load_language_model(str(smollm2_path))
    tokens = torch.tensor([model.tokenizer("The capital of France is")["input_ids"]])
    with torch.inference_mode():
        states = model.hidden_states(tokens)
    assert states.shape == (1, tokens.shape[1], 576)
    assert torch.isfinite(states).all()
