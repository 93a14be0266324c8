import json
import logging
from collections.abc import Iterator
from logging.config import dictConfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from service.settings import LogFormat, Settings
from service.telemetry.logs import log_config, request_id

if TYPE_CHECKING:
    from tests.service.conftest import Connect


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    request_id.set(None)


def configure(log_format: LogFormat) -> None:
    dictConfig(log_config(log_format, "info"))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_record_is_one_json_object_that_names_its_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("json")
    request_id.set("r-1")
    logging.getLogger("uvicorn.error").warning("two\nlines of %s", "text")
    (line,) = lines(capsys)
    assert line["message"] == "two\nlines of text"
    assert (line["level"], line["logger"]) == ("warning", "uvicorn.error")
    assert line["request_id"] == "r-1"


def test_lines_of_the_server_have_the_same_format_whatever_was_configured_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dictConfig(uvicorn.config.LOGGING_CONFIG)
    configure("json")
    logging.getLogger("uvicorn.error").warning("hello")
    (line,) = lines(capsys)
    assert line["message"] == "hello"


def test_an_exception_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    try:
        {"cat": 4}["zebra"]
    except KeyError:
        logging.getLogger("service").exception("no such animal")
    (line,) = lines(capsys)
    assert line["exception"].endswith("KeyError: 'zebra'")


def test_records_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    logging.getLogger("service").debug("details")
    assert lines(capsys) == []


def test_text_ends_with_the_id_of_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text")
    request_id.set("r-2")
    logging.getLogger("service").info("hello")
    assert capsys.readouterr().err.endswith("INFO    service: hello [r-2]\n")


@pytest.mark.anyio
async def test_each_request_is_logged_if_the_settings_ask_for_it(
    bundle_path: Path, connect: "Connect", capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json")
    async with connect(Settings(bundle_path=bundle_path, log_requests=True)) as client:
        await client.get("/v1/items/zebra", headers={"X-Request-ID": "r-3"})
    (line,) = [each for each in lines(capsys) if each["logger"] == "service.http.request_log"]
    assert (line["method"], line["status"]) == ("GET", 404)
    assert line["route"] == "/v1/items/{item_id}"
    assert "zebra" not in str(line)
    assert line["request_id"] == "r-3"
    assert line["ms"] > 0
