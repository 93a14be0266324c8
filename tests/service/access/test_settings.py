import pytest
from pydantic import ValidationError

from service.access.principal import Scope
from service.settings import Settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "shop.example"])  # noqa: S104
def test_an_address_that_others_reach_needs_keys_or_a_word_for_everybody(host: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(host=host)
    message = str(refused.value)
    assert f"HOST = {host} lets other machines in: set KEYS_FILE to a file of API keys" in message
    assert "or ALLOW_ANONYMOUS=read,write if" in message
    Settings.model_validate({"host": host, "keys_file": "keys.json"})
    Settings.model_validate({"host": host, "allow_anonymous": "read"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_an_address_that_only_this_machine_reaches_needs_no_key(host: str) -> None:
    settings = Settings(host=host)
    assert settings.scopes_for_all == {Scope.READ, Scope.WRITE, Scope.TEACHER}
    assert settings.are_items_open


def test_with_a_file_of_keys_a_request_without_a_key_may_do_nothing() -> None:
    settings = Settings.model_validate({"keys_file": "keys.json"})
    assert settings.scopes_for_all == frozenset()
    assert not settings.are_items_open


def test_an_admin_key_alone_on_an_open_address_is_not_enough() -> None:
    with pytest.raises(ValidationError, match="KEYS_FILE"):
        Settings.model_validate({"host": "::", "admin_key": "a key of the tests"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("reed", "'reed' is not a scope: choose from read,write,teacher,admin"),
        ("read,admin", "`admin` needs a key: choose from read,write,teacher"),
        ("read,", "'' is not a scope"),
    ],
)
def test_everybody_may_have_only_known_scopes_without_admin(text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Settings(allow_anonymous=text)


def test_scopes_for_everybody_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALLOW_ANONYMOUS", "read, write")
    monkeypatch.setenv("HOST", "::")
    assert Settings().scopes_for_all == {Scope.READ, Scope.WRITE}


@pytest.mark.parametrize("text", ["shop.example", "https://shop.example/", "null", "ftp://a"])
def test_an_origin_is_a_scheme_and_a_host(text: str) -> None:
    with pytest.raises(ValidationError, match="is not an origin, such as https://shop"):
        Settings(cors_origins=text)


def test_origins_are_separated_by_commas() -> None:
    origins = Settings(cors_origins="https://a.example, http://b.example:8080").allowed_origins
    assert origins == ["https://a.example", "http://b.example:8080"]
