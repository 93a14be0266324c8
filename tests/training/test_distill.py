"""The programs `distill` and `evaluate`, from a dataset and knowledge on disk to a table."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import make_chain, write_chain
from training import distill, evaluate
from training.distillation.checkpoint import best_on_validation, load_checkpoint
from training.knowledge import Knowledge, load_knowledge


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an experiment whose students are trained, one process a core."""
    folder = tmp_path_factory.mktemp("trained")
    assert run_distill(write_chain(make_chain(), folder)) == 0
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """An experiment whose students are trained; each test gets a copy of it."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "chain.toml"


def run_distill(chain_config: Path, *options: str) -> int:
    return distill.main([str(chain_config), "--work", str(chain_config.parent / "work"), *options])


def run_evaluate(chain_config: Path) -> int:
    return evaluate.main([str(chain_config), "--work", str(chain_config.parent / "work")])


def checkpoints(chain_config: Path) -> list[str]:
    return sorted(path.name for path in (chain_config.parent / "work/chain/checkpoints").iterdir())


def test_every_variant_is_trained_with_every_seed(trained: Path) -> None:
    assert checkpoints(trained) == ["distilled-0", "distilled-1", "plain-0", "plain-1"]


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_out_of_range_is_refused_by_its_option(
    chain_config: Path, seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_distill(chain_config, "--seed", "0", seed) == 2
    assert "for --seed. Must be" in capsys.readouterr().err


def test_options_narrow_what_is_trained(chain_config: Path) -> None:
    assert run_distill(chain_config, "--variant", "plain", "--seed", "7") == 0

    assert checkpoints(chain_config) == ["plain-7"]


def test_a_teacher_free_student_needs_no_knowledge(chain_config: Path) -> None:
    (chain_config.parent / "work/chain/knowledge").rename(chain_config.parent / "away")

    assert run_distill(chain_config, "--variant", "plain", "--workers", "1", "--refit") == 0
    assert run_distill(chain_config, "--variant", "distilled", "--seed", "0") == 2


def test_knowledge_is_read_once_for_students_and_their_refits(
    chain_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def load(folder: Path, *others: Any) -> Knowledge:
        read.append(folder)
        return load_knowledge(folder, *others)

    monkeypatch.setattr(distill, "load_knowledge", load)
    assert run_distill(chain_config, "--variant", "distilled", "--workers", "1", "--refit") == 0
    assert read == [chain_config.parent / "work/chain/knowledge"]


def test_students_that_were_trained_too_briefly_are_told_before_the_verdict_too(
    chain_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain_config.write_text(chain_config.read_text().replace("max_epochs = 3", "max_epochs = 1"))

    run_distill(chain_config, "--workers", "1")
    told = capsys.readouterr().out
    run_evaluate(chain_config)

    names = "distilled-0 (1), distilled-1 (1), plain-0 (1), plain-1 (1)"
    epochs = f"trained too briefly: the best epoch of {names} is among the last of 1; raise"
    assert f"\n{epochs} [training] max_epochs\n" in told
    steps = "few steps: an epoch has 7 of 8 histories each; lower [training] batch_size"
    assert f"\n{steps}, or raise learning_rate\n" in told
    *_, before, _, verdict = capsys.readouterr().out.splitlines()
    assert before.startswith(f"before you believe the verdict: {steps}")
    assert verdict.startswith("On 30 test examples")


def test_a_current_checkpoint_is_not_trained_again(
    chain_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_distill(chain_config, "--variant", "plain", "--seed", "0")
    weights = chain_config.parent / "work/chain/checkpoints/plain-0/student.safetensors"
    before = weights.stat().st_mtime_ns
    capsys.readouterr()

    run_distill(chain_config, "--variant", "plain", "--seed", "0")

    assert weights.stat().st_mtime_ns == before
    assert "plain-0 is current, nothing to do" in capsys.readouterr().out


def test_with_refit_the_best_student_is_trained_again_on_held_out_rows_once(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained.parent / "work/chain"
    assert run_distill(trained, "--refit", "--workers", "1") == 0
    assert checkpoints(trained) == ["distilled-0", "distilled-1", "plain-0", "plain-1"]
    best = best_on_validation(
        [load_checkpoint(folder / "checkpoints" / f"distilled-{seed}") for seed in (0, 1)],
        "distilled",
    )
    names = [f"{best.name}-refit", f"{best.name}-refit-all"]
    assert sorted(path.name for path in (folder / "refits").iterdir()) == names
    for name in names:
        refitted = load_checkpoint(folder / "refits" / name).description
        assert refitted.best_epoch == best.description.best_epoch
    assert "trained on all rows" in capsys.readouterr().out

    assert run_distill(trained, "--refit", "--workers", "1") == 0
    assert all(f"{name} is current, nothing to do" in capsys.readouterr().out for name in names[:1])


def test_a_refit_without_every_seed_to_choose_from_is_refused_before_anything_is_trained(
    chain_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one seed only, validation cannot choose among the seeds."""
    refit_of_one_seed = ("--seed", "0", "--refit", "--workers", "1")

    assert run_distill(chain_config, *refit_of_one_seed) == 2

    assert "distilled-1: missing" in capsys.readouterr().err
    assert not (chain_config.parent / "work/chain/checkpoints").exists()


def test_a_refit_of_one_seed_uses_the_other_seeds_that_were_trained_before(
    chain_config: Path,
) -> None:
    options = ("--variant", "plain", "--workers", "1")
    assert run_distill(chain_config, *options, "--seed", "1") == 0

    assert run_distill(chain_config, *options, "--seed", "0", "--refit") == 0

    refits = sorted(path.name for path in (chain_config.parent / "work/chain/refits").iterdir())
    assert len(refits) == 2
    assert refits[0] in {"plain-0-refit", "plain-1-refit"}


def test_evaluate_prints_and_writes_a_row_for_everything_that_ranks(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_evaluate(trained) == 0

    results = json.loads((trained.parent / "work/chain/results/results.json").read_text())
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == [
        "popularity",
        "last-item",
        "VMIS-kNN",
        "order-aware kNN",
        "order-aware item kNN",
        "teacher retrieval",
        "SASRec CE",
        "SASRec DLLM2Rec",
    ]
    assert rows["teacher retrieval"]["metrics"]["HR@1"] == {"mean": 1.0, "sd": None}
    assert rows["last-item"]["metrics"]["HR@1"]["mean"] == 1.0
    assert len(rows["SASRec DLLM2Rec"]["runs"]) == 2
    assert "SASRec DLLM2Rec" in capsys.readouterr().out


def test_a_student_of_other_settings_is_not_measured(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A seed that the experiment does not have: not measured.
    run_distill(trained, "--seed", "7", "--workers", "1")
    assert run_evaluate(trained) == 0
    text = trained.read_text()
    trained.write_text(text.replace("[training]", "[training]\nweight_decay = 0.5"))
    assert run_evaluate(trained) == 2
    assert "trained with other settings" in capsys.readouterr().err


def test_the_student_to_export_is_the_best_distilled_one_on_validation(trained: Path) -> None:
    run_evaluate(trained)

    results = json.loads((trained.parent / "work/chain/results/results.json").read_text())
    figures = {
        name: student["validation"]["NDCG@20"]
        for name, student in results["students"].items()
        if student["variant"] == "distilled"
    }
    assert figures[results["export"]] == max(figures.values())


def test_evaluate_without_checkpoints_says_what_to_run(
    chain_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_evaluate(chain_config) == 2
    assert "run `distilled-recommender distill CONFIG`" in capsys.readouterr().err
