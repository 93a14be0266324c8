from pathlib import Path

import httpx
import pytest

from distilled_recommender import demo
from distilled_recommender.app import main
from distilled_recommender.files import KNOWLEDGE, MOVIELENS
from proofs.fixtures.processes.waiting import free_port
from training.distillation import process_pool
from training.errors import ConfigError
from training.settings.experiment import Experiment
from training.workplace import Workplace


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the small dataset of the fixture where `prepare` would make MovieLens'."""
    monkeypatch.setattr(demo, "prepare", lambda *_: None)


@pytest.mark.slow
@pytest.mark.usefixtures("prepared")
def test_the_demo_ends_with_an_answered_query_of_the_service(
    chain_config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "usable_cores", lambda: 1)  # each process imports torch
    work = chain_config.parent / "work"
    options = ["--work", str(work), "--port", str(free_port()), "--once"]

    assert main(["demo", str(chain_config), *options]) == 0

    printed = capsys.readouterr().out
    assert "first obtaining permission from a faculty member" in printed
    assert printed.count("ms over HTTP") >= 1
    assert "  1. " in printed.partition("watched last")[2]
    assert (work / "chain" / "bundle" / "manifest.json").exists()


def test_the_demo_lays_out_its_experiment_and_knowledge_in_an_empty_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_stages", lambda **_: {"stop": stop})

    assert main(["demo", "--once"]) == 2

    assert capsys.readouterr().err == "error: stopped with assets/movielens/knowledge\n"
    assert MOVIELENS.exists()
    assert (KNOWLEDGE / "knowledge.json").exists()


def test_the_demo_does_not_begin_on_an_address_that_others_reach_unless_everybody_may_use_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_stages", lambda **_: {"stop": stop})
    monkeypatch.setenv("KEYS_FILE", "keys.json")
    assert main(["demo", "--once", "--host", "0.0.0.0"]) == 2  # noqa: S104 - refused
    assert "HOST = 0.0.0.0 lets other machines in" in capsys.readouterr().err
    monkeypatch.setenv("ALLOW_ANONYMOUS", "read")
    assert main(["demo", "--once", "--host", "0.0.0.0"]) == 2  # noqa: S104 - stopped before
    assert capsys.readouterr().err.startswith("error: stopped with")


def stop(experiment: Experiment, _: Workplace) -> None:
    raise ConfigError(f"stopped with {experiment.knowledge}")


def test_a_taken_port_is_an_error_of_the_user() -> None:
    class Stopped:
        started = False
        config = type("Config", (), {"host": "127.0.0.1", "port": 80})

    class Ended:
        def is_alive(self) -> bool:
            return False

    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:80: the port may be in use"):
        demo._wait_until_started(Stopped(), Ended())  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_demo_asks_its_service_at_a_name_or_an_address_of_either_version(host: str) -> None:
    url = httpx.URL(demo.address_of(host, 8000))
    assert (url.host, url.port) == (host, 8000)
