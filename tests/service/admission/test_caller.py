"""The caller of a request, by its ASGI scope: its key and how long it waits."""

from types import SimpleNamespace

import pytest

from service.admission import caller
from service.admission.caller import DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS, caller_of


@pytest.mark.parametrize(
    ("preference", "seconds"),
    [
        (b"wait=3", 3),
        (b"return=minimal; foo, wait=3", 3),
        (b'respond-async, WAIT="3"', 3),
        (b"wait=0", 1),
        (b"wait=999", MAX_WAIT_SECONDS),
        (b"wait=-3", DEFAULT_WAIT_SECONDS),
        (b"wait=3.5", DEFAULT_WAIT_SECONDS),
        (b"wait=" + b"9" * 4000, DEFAULT_WAIT_SECONDS),
        (b"await=3", DEFAULT_WAIT_SECONDS),
    ],
)
def test_the_preference_wait_says_for_how_long_within_bounds(
    preference: bytes, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "DEFAULT_WAIT_SECONDS", DEFAULT_WAIT_SECONDS)
    assert caller_of({"headers": [(b"prefer", preference)]}).wait_seconds == seconds


def test_the_key_is_that_of_the_principal_and_requests_without_one_share_a_key() -> None:
    principal = SimpleNamespace(key_id="shop")
    assert caller_of({"headers": [], "principal": principal}).key == "shop"
    assert caller_of({"headers": []}).key == ""


def test_the_server_tells_whether_the_sender_has_left() -> None:
    scope = {"headers": [], "connection": SimpleNamespace(has_left=lambda: True)}
    assert caller_of(scope).has_left()
    assert not caller_of({"headers": []}).has_left()
