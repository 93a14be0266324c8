import pytest

from service.setting_parts.sentinel_url import parse_sentinel_url
from service.settings import Settings


def test_an_address_names_sentinels_the_redis_and_a_database() -> None:
    parsed = parse_sentinel_url("redis+sentinel://:pass@a:1,b,[::1]:3/shop/2?sentinel_password=s")
    assert parsed.sentinels == [("a", 1), ("b", 26_379), ("::1", 3)]
    assert parsed.name == "shop"
    assert parsed.redis_url == "redis://:pass@localhost/2?sentinel_password=s"


def test_an_address_with_tls_leads_to_one_with_tls() -> None:
    assert parse_sentinel_url("rediss+sentinel://a:1/shop").redis_url == "rediss://localhost/"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1",
        "redis+sentinel://a:1/",
        "redis+sentinel:///shop",
        "redis+sentinel://a:1,/shop",
        "redis+sentinel://a:port/shop",
        "redis+sentinel://a:1/shop/2/3",
    ],
)
def test_another_form_is_refused_without_the_address_in_the_message(url: str) -> None:
    with pytest.raises(ValueError, match=r"must have the form redis\+sentinel://"):
        Settings.model_validate({"redis_url": url})
    with pytest.raises(ValueError, match="must have the form") as raised:
        parse_sentinel_url(url.replace("//", "//:hunter2@"))
    assert "hunter2" not in str(raised.value)
