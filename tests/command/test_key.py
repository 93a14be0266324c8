from pathlib import Path

import pytest

from distilled_recommender.app import main
from service.access.__main__ import main as service_main
from service.access.keys_file import read_keys


def test_a_key_is_printed_once_and_listed_without_its_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    options = ["--tenant", "shop", "--scopes", "read,write", "--requests-per-second", "5"]
    assert main(["key", "create", "--file", str(path), *options]) == 0
    key_id, _, secret = capsys.readouterr().out.strip().partition(".")

    assert main(["key", "list", "--file", str(path)]) == 0
    assert capsys.readouterr().out == f"{key_id}  shop  read,write  5/s  valid\n"
    assert secret not in path.read_text()

    assert main(["key", "revoke", key_id, "--file", str(path)]) == 0
    assert [each.revoked for each in read_keys(path).keys] == [True]


def test_a_listed_key_has_its_rate_with_the_burst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--file", str(tmp_path / "keys.json")]
    limits = ["--requests-per-second", "5", "--burst", "20", "--requests-per-day", "900"]
    assert main(["key", "create", "--scopes", "read", *limits, *file]) == 0
    key_id = capsys.readouterr().out.partition(".")[0]

    assert main(["key", "list", *file]) == 0
    listed = f"{key_id}  default  read  5/s, burst 20  900/day  valid\n"
    assert capsys.readouterr().out == listed


def test_the_file_is_that_of_the_service_unless_another_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS_FILE", str(tmp_path / "keys.json"))
    assert main(["key", "create", "--scopes", "read"]) == 0
    assert len(read_keys(tmp_path / "keys.json").keys) == 1


@pytest.mark.parametrize("program", [main, service_main])
def test_a_scope_that_does_not_exist_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], program: object
) -> None:
    words = ["create", "--scopes", "reed", "--file", str(tmp_path / "keys.json")]
    assert (main(["key", *words]) if program is main else service_main(words)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: 'reed' is not a scope: choose from read,write,teacher,admin"


def test_the_program_of_the_image_makes_lists_and_revokes_keys_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--file", str(tmp_path / "keys.json")]
    limits = ["--requests-per-day", "100", "--expires-in-days", "1"]
    assert service_main(["create", "--scopes", "admin", *limits, *file]) == 0
    key_id = capsys.readouterr().out.partition(".")[0]
    assert service_main(["list", *file]) == 0
    assert capsys.readouterr().out.startswith(f"{key_id}  default  admin  100/day  until 20")
    assert service_main(["revoke", key_id, *file]) == 0
    assert service_main(["list", *file]) == 0
    assert capsys.readouterr().out.endswith("  revoked\n")
