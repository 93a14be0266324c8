from pathlib import Path

import pytest
import torch

from training.distillation.checkpoint import (
    Checkpoint,
    Description,
    best_on_validation,
    load_checkpoint,
    save_checkpoint,
)
from training.errors import CheckpointError
from training.settings.student import StudentConfig
from training.students.registry import build_student

CONFIG = StudentConfig(max_history_length=4, hidden_size=8)


def checkpoint(variant: str = "plain", seed: int = 0, figure: float = 0.1) -> Checkpoint:
    torch.manual_seed(seed)
    embeddings = torch.randn(7, 5) if variant == "distilled" else None
    description = Description(
        student=CONFIG,
        variant=variant,
        seed=seed,
        dataset_fingerprint="fp",
        embedding_weight=0.5,
        best_epoch=3,
        validation={"NDCG@20": figure},
        seconds=1.5,
    )
    return Checkpoint(description, build_student(CONFIG, 7, embeddings, 0.5).state_dict())


@pytest.mark.parametrize("variant", ["plain", "distilled"])
def test_a_saved_student_comes_back_with_the_same_scores(tmp_path: Path, variant: str) -> None:
    saved = checkpoint(variant)
    save_checkpoint(saved, tmp_path / "it", "stamp")

    loaded = load_checkpoint(tmp_path / "it")

    history = torch.tensor([[1, 2, 3]])
    assert loaded.description == saved.description
    assert torch.equal(loaded.student().score(history), saved.student().score(history))


def test_a_saved_student_comes_back_with_its_placed_cold_items(
    tmp_path: Path,
) -> None:
    description = checkpoint("distilled").description
    student = build_student(CONFIG, 7, torch.randn(7, 5), 0.5)
    untouched = torch.arange(6) > 4
    donors = torch.arange(6) < 3
    student.item_table.place_cold_items(untouched, donors, torch.ones(8), torch.randn(8, 5))
    save_checkpoint(Checkpoint(description, student.state_dict()), tmp_path / "it", "stamp")
    loaded = load_checkpoint(tmp_path / "it").student().item_table
    assert loaded.cold_items.donors is not None
    assert torch.equal(loaded.cold_items.donors, donors)
    neighbour_offsets = loaded.cold_items.neighbour_offsets(torch.eye(5), loaded.all_items())
    assert torch.equal(neighbour_offsets, torch.zeros(5, 8))
    assert torch.equal(loaded(), student.item_table())
    new = torch.eye(5)
    assert torch.equal(loaded.cold_vectors(new), student.item_table.cold_vectors(new))


def test_a_checkpoint_from_before_cold_items_had_a_projection_loads_without_one() -> None:
    description = checkpoint("distilled").description
    student = build_student(CONFIG, 7, torch.randn(7, 5), 0.5)
    untouched = torch.arange(6) > 4
    student.item_table.place_cold_items(untouched, ~untouched, torch.ones(8), torch.zeros(8, 5))
    state = student.state_dict()
    del state["item_table.cold_projection"]
    table = Checkpoint(description, state).student().item_table
    assert table.cold_items.projection is None
    new = torch.eye(5)
    assert torch.equal(table.cold_vectors(new), student.item_table.cold_vectors(new))


def test_a_checkpoint_from_before_students_had_kinds_of_blocks_has_the_former_one() -> None:
    description = checkpoint("plain").description.model_dump()
    del description["student"]["block"]
    assert Description.model_validate(description).student.block == "pre-norm"


def test_a_missing_checkpoint_is_refused_with_the_program_to_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="distilled-recommender distill CONFIG"):
        load_checkpoint(tmp_path / "none")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(), tmp_path / "it", "stamp")
    (tmp_path / "it" / "student.safetensors").unlink()

    with pytest.raises(CheckpointError, match=r"it/student\.safetensors: missing"):
        load_checkpoint(tmp_path / "it")


@pytest.mark.parametrize("name", ["student.safetensors", "checkpoint.json"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path, name: str) -> None:
    save_checkpoint(checkpoint(), tmp_path / "it", "stamp")
    (tmp_path / "it" / name).write_bytes(b"rubbish")

    with pytest.raises(CheckpointError, match="it: damaged"):
        load_checkpoint(tmp_path / "it")


def test_the_best_of_a_variant_is_picked_by_validation() -> None:
    plain = checkpoint("plain", seed=0, figure=0.9)
    distilled = [
        checkpoint("distilled", seed, figure) for seed, figure in enumerate((0.2, 0.4, 0.3))
    ]

    assert best_on_validation([plain, *distilled], "distilled").name == "distilled-1"


def test_a_variant_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no distilled checkpoint"):
        best_on_validation([checkpoint("plain")], "distilled")
