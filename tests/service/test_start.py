import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.settings import described
from service.start import main

REDIS = {"REDIS_URL": "redis://localhost", "SESSION_SECRET": "0123456789abcdef" * 2}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_a_bundle_one_line_says_how_to_get_one(workers: str) -> None:
    run = run_service(BUNDLE_PATH="/nothing", WORKERS=workers, **REDIS)
    assert (run.returncode, run.stderr) == (
        1,
        "cannot serve: BUNDLE_PATH = /nothing holds no bundle; make one with "
        "`distilled-recommender demo` (MovieLens) or `distilled-recommender export CONFIG` "
        "(your data)\n",
    )


def test_a_variant_without_a_bundle_is_named(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VARIANTS", f"old={bundle_path}, new=/nothing")
    with pytest.raises(SystemExit, match=r"^cannot serve: VARIANTS: new = /nothing holds no"):
        main()


def test_help_lists_every_setting_with_its_default() -> None:
    run = run_service("--help")
    assert run.returncode == 0
    assert set(described().splitlines()) <= set(run.stdout.splitlines())


def test_an_argument_is_refused_because_settings_are_environment_variables() -> None:
    run = run_service("--port=80")
    assert run.returncode == 2
    assert "usage: [SETTING=VALUE ...] python -m service [--help]" in run.stderr
    assert "unrecognized arguments: --port=80" in run.stderr


def run_service(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_several_workers_without_redis_end_the_program_with_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKERS", "2")
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == (
        "WORKERS = 2 needs REDIS_URL: without it each worker would store its own sessions"
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


def test_invalid_settings_are_named_without_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "secret@redis")
    monkeypatch.setenv("MAX_K", "0")
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == (
        "MAX_K: Input should be greater than or equal to 20\n"
        "REDIS_URL: must start with one of redis://, rediss://, unix://, redis+sentinel://, "
        "rediss+sentinel://"
    )


def test_an_address_that_others_reach_ends_the_program_with_what_to_set() -> None:
    run = run_service(HOST="0.0.0.0")  # noqa: S104 - refused
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("HOST = 0.0.0.0 lets other machines in: set KEYS_FILE to a file of")
    assert "ALLOW_ANONYMOUS=read,write" in line


def test_a_broken_file_of_keys_ends_the_program_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.json").write_text("{}}")
    monkeypatch.setenv("KEYS_FILE", str(tmp_path / "keys.json"))
    with pytest.raises(SystemExit, match=r"^cannot serve: KEYS_FILE = .*keys\.json: Invalid JSON"):
        main()
