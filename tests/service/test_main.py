import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.__main__ import main


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_bundle_that_cannot_be_served_ends_the_program_with_one_line(workers: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "service"],
        env={"BUNDLE_PATH": "/nothing", "WORKERS": workers, "REDIS_URL": "redis://localhost"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (1, "cannot serve: /nothing/manifest.json: missing\n")


def test_several_workers_without_redis_end_the_program_with_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKERS", "2")
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == (
        "WORKERS = 2 needs REDIS_URL: without it each worker would keep sessions of its own"
    )


def test_a_bundle_that_fails_its_smoke_check_is_not_served(
    save_bundle_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLE_PATH", str(save_bundle_with(scale=float("nan"))))
    with pytest.raises(SystemExit, match=r"^cannot serve: .*0 items with a finite score"):
        main()


def test_a_secrets_path_that_is_no_folder_ends_the_program_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin_key").touch()
    monkeypatch.setenv("SECRETS_PATH", str(tmp_path / "admin_key"))
    with pytest.raises(SystemExit, match=r"^cannot serve: .*not a file"):
        main()


def test_settings_that_cannot_be_used_are_named_without_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "secret@redis")
    monkeypatch.setenv("MAX_K", "0")
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == (
        "MAX_K: Input should be greater than or equal to 20\n"
        "REDIS_URL: must start with one of redis://, rediss://, unix://"
    )
