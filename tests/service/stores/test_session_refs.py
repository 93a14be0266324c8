"""Session refs. Expected values were computed with `openssl dgst -sha256 -mac HMAC`."""

from pydantic import SecretStr

from service.settings import Settings
from service.stores.session_refs import SessionRefs, session_ref

SECRET = "0123456789abcdef" * 2
OLD_SECRET = "fedcba9876543210" * 2


def refs(*, secret: str = SECRET, **more: object) -> SessionRefs:
    chosen = {"session_secret": secret, "redis_url": "redis://localhost"}
    return SessionRefs(Settings.model_validate(chosen | more))


def test_a_ref_is_22_characters_of_an_hmac_of_tenant_and_session() -> None:
    assert session_ref(SECRET, "default", "ann") == "v1.rXa8gmA4kWZe3TOhssqvgd"


def test_sessions_of_two_tenants_with_the_same_id_have_different_refs() -> None:
    assert refs().of("ann", "shop").ref != refs().of("ann", "other").ref


def test_replicas_with_the_same_secret_name_a_session_alike() -> None:
    assert refs().of("ann").ref == refs().of("ann").ref
    assert refs().of("ann").ref != refs(secret=OLD_SECRET).of("ann").ref


def test_a_session_is_also_looked_for_under_the_old_secret() -> None:
    named = refs(session_secret_old=OLD_SECRET).of("ann")
    assert named.former_refs == (refs(secret=OLD_SECRET).of("ann").ref,)


def test_keys_of_old_releases_are_looked_for_until_switched_off() -> None:
    assert refs().of("ann").old_id == "ann"
    assert refs(old_session_keys=False).of("ann").old_id is None


def test_a_tenant_does_not_reach_sessions_from_before_there_were_tenants() -> None:
    assert refs().of("ann", "other").old_id is None


def test_without_a_secret_each_process_has_its_own() -> None:
    nowhere = Settings.model_construct(session_secret=None, session_secret_old=None, redis_url=None)
    assert SessionRefs(nowhere).of("ann").ref != SessionRefs(nowhere).of("ann").ref


def test_a_session_id_is_not_in_the_text_of_its_names() -> None:
    assert "ann" not in repr(refs().of("ann"))


def test_any_session_id_has_a_ref() -> None:
    for session_id in ("", "\0", "☕", "\ud800", "x" * 128):
        assert len(refs().of(session_id).ref) == len("v1.") + 22


def test_a_secret_is_not_shown() -> None:
    assert SECRET not in repr(Settings(session_secret=SecretStr(SECRET)))


def test_a_user_ref_is_no_session_ref_and_changes_with_tenant_and_secret() -> None:
    assert refs().of_user("ann", "default")[0][3:] != refs().of("ann").ref[3:]
    assert refs().of_user("ann", "shop") != refs().of_user("ann", "other")
    named = refs(session_secret_old=OLD_SECRET).of_user("ann", "shop")
    former = refs(secret=OLD_SECRET).of_user("ann", "shop")
    assert named == (*refs().of_user("ann", "shop"), *former)
