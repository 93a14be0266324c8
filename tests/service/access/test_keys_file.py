import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from service.access.key_commands import NewKey, create_key, list_keys, revoke_key
from service.access.keys_file import (
    MAX_FILE_BYTES,
    KeysFile,
    KeysFileError,
    hash_of,
    read_keys,
    signature,
)
from service.access.principal import Limits, Scope

# SHA-256 of 16 zero bytes and `secret`, by `(head -c 16 /dev/zero; printf secret) | sha256sum`.
ZERO_SALT = "00" * 16
HASH = "36fcbdc4799378811fe3603f327fe626b629fdc63c0958cc7ee6fce2183752cb"
KEY = {
    "id": "shop-1",
    "salt": ZERO_SALT,
    "sha256": HASH,
    "tenant": "shop",
    "scopes": ["read"],
    "requests_per_second": 5,
    "burst": 10,
    "requests_per_day": 1000,
    "expires_at": "2031-01-31T00:00:00Z",
    "revoked": False,
}


def saved(path: Path, *keys: dict[str, Any], **more: Any) -> Path:
    path.write_text(json.dumps({"schema": 1, "keys": keys} | more))
    return path


def test_a_secret_is_hashed_after_its_salt() -> None:
    assert hash_of(ZERO_SALT, "secret") == HASH


def test_a_key_is_read_with_its_tenant_scopes_and_limits(tmp_path: Path) -> None:
    (key,) = read_keys(saved(tmp_path / "keys", KEY)).keys
    principal = key.principal(frozenset())
    assert (principal.key_id, principal.tenant) == ("shop-1", "shop")
    assert principal.scopes == {Scope.READ}
    assert principal.limits == Limits(5, 10, 1000)
    assert principal.expires_at == 1_927_584_000


def test_the_key_in_the_operations_guide_is_one_that_the_service_reads(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?\"salt\".*?)```", text, re.S)
    (key,) = read_keys(saved(tmp_path / "keys", json.loads(example))).keys
    assert key.principal(frozenset()).limits == Limits(50.0, 100)


def test_a_key_has_its_own_scopes_and_those_of_everybody(tmp_path: Path) -> None:
    (key,) = read_keys(saved(tmp_path / "keys", KEY)).keys
    assert key.principal(frozenset({Scope.WRITE})).scopes == {Scope.READ, Scope.WRITE}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "a.b"}, "keys[0].id: String should match"),
        ({"id": "ADMIN_KEY"}, "keys[0].id: 'ADMIN_KEY' is taken"),
        ({"salt": "00"}, "keys[0].salt: String should match"),
        ({"sha256": HASH[:-1]}, "keys[0].sha256: String should match"),
        ({"tenant": "a\0b"}, "keys[0].tenant: String should match"),
        ({"scopes": []}, "keys[0].scopes: "),
        ({"scopes": ["reed"]}, "keys[0].scopes[0]: Input should be 'read', 'write', "),
        ({"requests_per_second": 0}, "keys[0].requests_per_second: Input should be greater"),
        ({"burst": 1.5}, "keys[0].burst: "),
        ({"requests_per_day": "many"}, "keys[0].requests_per_day: "),
        ({"expires_at": "2031-01-31T00:00:00"}, "keys[0].expires_at: Input should have timezone"),
        ({"revoked": "no"}, "keys[0].revoked: Input should be a valid boolean"),
        ({"secret": "x"}, "keys[0].secret: Extra inputs are not permitted"),
    ],
)
def test_a_key_that_is_not_allowed_is_named_by_its_place(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    path = saved(tmp_path / "keys", KEY | change)
    with pytest.raises(KeysFileError) as refused:
        read_keys(path)
    assert str(refused.value).startswith(f"KEYS_FILE = {path}: {problem}")


def test_an_error_has_no_hash_and_no_salt_in_it(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError) as refused:
        read_keys(saved(tmp_path / "keys", KEY | {"sha256": HASH * 2, "salt": "abcdef"}))
    assert HASH not in str(refused.value)
    assert "abcdef" not in str(refused.value)


def test_of_many_errors_five_are_named(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError, match=r"; and 995 more$") as refused:
        read_keys(saved(tmp_path / "keys", *[{**KEY, "id": f"k{n}", "x": 1} for n in range(1000)]))
    assert str(refused.value).count("Extra inputs") == 5


def test_two_keys_with_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError, match=r"keys\[1\]\.id: 'shop-1' is taken"):
        read_keys(saved(tmp_path / "keys", KEY, KEY))


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError, match="schema: Input should be 1"):
        read_keys(saved(tmp_path / "keys", schema=2))


def test_a_missing_file_a_folder_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeysFileError, match="No such file"):
        read_keys(tmp_path / "nothing")
    for name in (".", "pipe"):
        with pytest.raises(KeysFileError, match=r"is not a regular file|Is a directory"):
            read_keys(tmp_path / name)


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(KeysFileError, match="has more than 1048576 bytes"):
        read_keys(path)


def test_a_new_key_is_returned_and_only_its_hash_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys.json"
    limits = Limits(5, None, 100)
    key_id, _, secret = create_key(path, NewKey(frozenset({Scope.READ}), "shop", limits)).partition(
        "."
    )
    (stored,) = read_keys(path).keys
    assert (stored.id, stored.tenant, stored.requests_per_day) == (key_id, "shop", 100)
    assert len(secret) == 43  # 32 bytes in base64url
    assert stored.is_secret(secret)
    assert not stored.is_secret(secret[:-1])
    assert secret not in path.read_text()


def test_each_key_has_a_salt_of_its_own(tmp_path: Path) -> None:
    for _ in range(3):
        create_key(tmp_path / "keys", NewKey(frozenset(Scope)))
    assert len({each.salt for each in read_keys(tmp_path / "keys").keys}) == 3


def test_a_change_of_the_file_changes_its_signature_even_if_the_size_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key_id = create_key(path, NewKey(frozenset(Scope))).partition(".")[0]
    before = signature(path)
    revoke_key(path, key_id)
    assert signature(path) != before
    assert signature(tmp_path / "nothing") == ()


def test_keys_are_listed_with_their_state(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    new = NewKey(frozenset({Scope.WRITE, Scope.READ}), "shop", Limits(2.5, 5, 1000), 0)
    ids = [create_key(path, each).partition(".")[0] for each in (new, NewKey(frozenset(Scope)))]
    revoke_key(path, ids[1])
    assert list(list_keys(path)) == [
        f"{ids[0]}  shop  read,write  2.5/s, burst 5  1000/day  expired",
        f"{ids[1]}  default  read,write,teacher,admin  revoked",
    ]


def test_a_key_that_the_service_would_refuse_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError, match="the new key: tenant: String should match"):
        create_key(tmp_path / "keys", NewKey(frozenset(Scope), "a b"))
    assert not (tmp_path / "keys").exists()


def test_a_broken_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("{")
    with pytest.raises(KeysFileError, match="Invalid JSON"):
        create_key(path, NewKey(frozenset(Scope)))
    assert path.read_text() == "{"


def test_revoking_a_key_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    create_key(tmp_path / "keys", NewKey(frozenset(Scope)))
    with pytest.raises(KeysFileError, match="has no key 'nobody'"):
        revoke_key(tmp_path / "keys", "nobody")


def test_the_limit_of_keys_holds(tmp_path: Path) -> None:
    keys = [{**KEY, "id": f"k{number}"} for number in range(2001)]
    with pytest.raises(KeysFileError, match=r"keys: .*at most 2000 items"):
        read_keys(saved(tmp_path / "keys", *keys))
    assert KeysFile().keys == ()
