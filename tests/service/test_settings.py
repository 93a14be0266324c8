from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, described


def test_each_field_is_described_by_its_environment_variable() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description is not None
        assert field.description.startswith(f"{name.upper()}: ")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLE_PATH", "bundles/today")
    monkeypatch.setenv("REDIS_URL", "")
    settings = Settings()
    assert settings.bundle_path == Path("bundles/today")
    assert settings.redis_url is None


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="bundle_paht"):
        Settings(bundle_paht="x")  # type: ignore[call-arg]  # the mistake to be caught


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"session_ttl_seconds": "inf"}, "finite number"),
        ({"teacher_url": "http://a:b"}, "Invalid port"),
    ],
)
def test_a_setting_that_would_fail_later_is_refused_at_once(
    setting: dict[str, str], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        Settings.model_validate(setting)


def test_every_setting_has_a_line_with_its_default() -> None:
    lines = described().splitlines()
    assert len(lines) == len(Settings.model_fields)
    assert "PORT: port to listen on [8000]" in lines


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().max_k = 5  # type: ignore[misc]  # the mistake to be caught


def test_a_redis_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ValidationError, match="must start with one of redis://"):
        Settings.model_validate({"redis_url": "localhost:6379"})


@pytest.mark.parametrize("url", [None, "unix:///run/redis.sock"])
def test_a_cluster_needs_an_address_in_the_network(url: str | None) -> None:
    with pytest.raises(ValidationError, match="REDIS_CLUSTER needs a REDIS_URL that starts"):
        Settings.model_validate({"redis_cluster": True, "redis_url": url})


def test_a_redis_password_is_not_shown() -> None:
    settings = Settings.model_validate({"redis_url": "redis://:hunter2@localhost"})
    assert "hunter2" not in repr(settings)


def test_a_teacher_url_without_http_is_refused() -> None:
    with pytest.raises(ValidationError, match="must start with one of http://"):
        Settings.model_validate({"teacher_url": "localhost:8100"})


def test_a_shadow_needs_a_teacher() -> None:
    with pytest.raises(ValidationError, match=r"SHADOW_SHARE = 0\.1 needs TEACHER_URL"):
        Settings(shadow_share=0.1)


def test_several_workers_need_a_redis_to_share_sessions() -> None:
    with pytest.raises(ValidationError, match="WORKERS = 2 needs REDIS_URL"):
        Settings(workers=2)
    assert Settings.model_validate({"workers": 2, "redis_url": "redis://localhost"}).workers == 2


@pytest.mark.parametrize("setting", ["redis_url", "session_secret_old"])
def test_stored_sessions_need_a_secret_for_their_names(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.delenv("SESSION_SECRET")
    with pytest.raises(ValidationError, match=f"{setting.upper()} needs SESSION_SECRET, the same"):
        Settings.model_validate({setting: "redis://a-host.example.com/number-0"})


def test_a_journal_needs_a_redis() -> None:
    with pytest.raises(ValidationError, match="STORE_OUTAGE = journal needs REDIS_URL"):
        Settings(store_outage="journal")


def test_a_session_secret_has_at_least_32_characters() -> None:
    with pytest.raises(ValidationError, match="at least 32"):
        Settings.model_validate({"session_secret": "x" * 31})


def test_secrets_are_read_from_the_files_of_secrets_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "redis_url").write_text("redis://:secret@redis:6379\n")
    monkeypatch.setenv("SECRETS_PATH", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://redis:6379")
    redis_url = Settings().redis_url
    assert redis_url is not None
    assert redis_url.get_secret_value() == "redis://:secret@redis:6379"


def test_tracing_without_opentelemetry_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.settings.find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r"pip install 'distilled-recommender\[trace\]'"):
        Settings(tracing=True)
