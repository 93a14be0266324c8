from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from service.access.authentication import Authentication
from service.access.key_commands import NewKey, create_key, revoke_key
from service.access.keys_file import KeysFileError
from service.access.principal import DEFAULT_TENANT, Scope
from service.errors import UnauthorizedError
from tests.service.access.conftest import expire

if TYPE_CHECKING:
    from tests.service.access.conftest import Keys

NOTHING: frozenset[Scope] = frozenset()
ADMIN_KEY = "an admin key.of the tests"


def loaded(path: Path | None, for_all: frozenset[Scope] = NOTHING) -> Authentication:
    authentication = Authentication(path, ADMIN_KEY, for_all)
    authentication.load()
    return authentication


def sent(header: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"service"), (b"authorization", header.encode())]


def test_a_key_is_the_principal_with_its_tenant_each_time(keys: "Keys") -> None:
    authentication = loaded(keys.path)
    header = sent(keys.headers["other tenant"]["Authorization"])
    for _ in range(2):
        principal = authentication.principal(header)
        assert (principal.tenant, principal.scopes) == ("other", frozenset(Scope))


def test_the_scheme_is_read_in_any_case(keys: "Keys") -> None:
    header = keys.headers["read"]["Authorization"].replace("Bearer", "bEARER")
    assert loaded(keys.path).principal(sent(header)).scopes == {Scope.READ}


@pytest.mark.parametrize("header", [[], sent("Basic YTpi"), sent("")])
def test_a_request_without_a_bearer_token_has_no_key_and_may_do_what_everybody_may(
    keys: "Keys", header: list[tuple[bytes, bytes]]
) -> None:
    principal = loaded(keys.path, frozenset({Scope.READ})).principal(header)
    assert (principal.key_id, principal.tenant) == ("", DEFAULT_TENANT)
    assert principal.scopes == {Scope.READ}


@pytest.mark.parametrize(
    "token", ["", ".", "nobody", "nobody.secret", "ä.ö", "none.", "x" * 100_000, "none." + "0" * 64]
)
def test_a_token_that_is_no_key_is_unknown(keys: "Keys", token: str) -> None:
    with pytest.raises(UnauthorizedError, match=r"^the key in `Authorization` is unknown$"):
        loaded(keys.path).principal(sent(f"Bearer {token}"))


@pytest.mark.parametrize("name", ["revoked", "expired"])
def test_who_knows_the_secret_is_told_why_the_key_is_refused(keys: "Keys", name: str) -> None:
    with pytest.raises(UnauthorizedError, match=f"is {name}$"):
        loaded(keys.path).principal(sent(keys.headers[name]["Authorization"]))


def test_a_wrong_secret_of_a_revoked_key_is_told_nothing(keys: "Keys") -> None:
    header = keys.headers["revoked"]["Authorization"][:-1]
    with pytest.raises(UnauthorizedError, match=r"is unknown$"):
        loaded(keys.path).principal(sent(header))


def test_a_key_that_was_verified_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    key = create_key(path, NewKey(frozenset(Scope), expires_in_days=1))
    authentication = loaded(path)
    expires_at = authentication.principal(sent(f"Bearer {key}")).expires_at
    monkeypatch.setattr("service.access.authentication.time", lambda: expires_at)
    with pytest.raises(UnauthorizedError, match="is expired"):
        authentication.principal(sent(f"Bearer {key}"))


def test_the_admin_key_has_scope_admin_and_those_of_everybody(keys: "Keys") -> None:
    principal = loaded(keys.path, frozenset({Scope.READ})).principal(sent(f"Bearer {ADMIN_KEY}"))
    assert (principal.key_id, principal.tenant) == ("ADMIN_KEY", DEFAULT_TENANT)
    assert principal.scopes == {Scope.ADMIN, Scope.READ}


def test_of_two_headers_the_first_counts(keys: "Keys") -> None:
    one, other = (sent(keys.headers[name]["Authorization"]) for name in ("read", "write"))
    assert loaded(keys.path).principal([*one, *other]).scopes == {Scope.READ}


def test_a_key_is_revoked_and_another_added_when_the_file_is_read_again(keys: "Keys") -> None:
    authentication = loaded(keys.path)
    old = sent(keys.headers["all"]["Authorization"])
    old_id = authentication.principal(old).key_id
    new = sent(f"Bearer {create_key(keys.path, NewKey(frozenset(Scope)))}")
    revoke_key(keys.path, old_id)
    authentication._load_if_changed(keys.path)
    assert authentication.principal(new).key_id
    with pytest.raises(UnauthorizedError, match="is revoked"):
        authentication.principal(old)


@pytest.mark.parametrize("damage", ["{", None])
def test_a_broken_or_missing_file_keeps_the_keys_and_is_told_until_it_is_mended(
    keys: "Keys", damage: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    authentication = loaded(keys.path)
    whole = keys.path.read_text()
    if damage is None:
        keys.path.unlink()
    else:
        keys.path.write_text(damage)
    authentication._load_if_changed(keys.path)
    assert authentication.is_file_refused
    assert "the keys stay as they were: KEYS_FILE = " in caplog.text
    assert authentication.principal(sent(keys.headers["read"]["Authorization"])).key_id
    keys.path.write_text(whole)
    authentication._load_if_changed(keys.path)
    assert not authentication.is_file_refused


def test_a_file_that_could_not_be_read_once_is_read_again_though_it_has_not_changed(
    keys: "Keys", monkeypatch: pytest.MonkeyPatch
) -> None:
    authentication = loaded(keys.path)
    header = sent(keys.headers["all"]["Authorization"])
    revoke_key(keys.path, authentication.principal(header).key_id)
    with monkeypatch.context() as patched:
        patched.setattr("service.access.authentication.read_keys", refuse)
        authentication._load_if_changed(keys.path)
    assert authentication.principal(header).key_id
    authentication._load_if_changed(keys.path)
    with pytest.raises(UnauthorizedError, match="is revoked"):
        authentication.principal(header)


def refuse(_: Path) -> NoReturn:
    raise KeysFileError("too many open files")


def test_a_file_that_stays_is_read_once(keys: "Keys") -> None:
    authentication = loaded(keys.path)
    header = sent(keys.headers["read"]["Authorization"])
    first = authentication.principal(header)
    authentication._load_if_changed(keys.path)
    assert authentication.principal(header) is first


def test_wrong_keys_take_no_memory(keys: "Keys") -> None:
    authentication = loaded(keys.path)
    for number in range(100):
        with pytest.raises(UnauthorizedError):
            authentication.principal(sent(f"Bearer nobody.{number}"))
    assert authentication._verified == {}


def test_an_expired_key_of_the_file_stays_expired_after_it_is_read_again(keys: "Keys") -> None:
    header = keys.headers["all"]["Authorization"]
    authentication = loaded(keys.path)
    assert authentication.principal(sent(header)).key_id
    expire(keys.path, header.removeprefix("Bearer "))
    authentication._load_if_changed(keys.path)
    with pytest.raises(UnauthorizedError, match="is expired"):
        authentication.principal(sent(header))
