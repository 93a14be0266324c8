"""The service keeps to its OpenAPI schema: with the shipped bundle, Redis, a teacher and a key."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from export.contract.bundles_folder import BundleLink
from export.contract.log.live_figures import SCHEMA, LiveReport, save_report
from proofs.conformance import KEY, answers_of, published, run_schemathesis
from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.film_teacher import running_teacher
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.conftest import Serve

EXAMPLES = 10  # `python -m proofs conformance` has more


@pytest.fixture
def teacher_url() -> Iterator[str]:
    """The address of a running teacher."""
    with running_teacher() as url:
        yield url


@pytest.fixture
def link(tmp_path: Path) -> BundleLink:
    """A link to the shipped bundle, beside a copy with the name that the examples have."""
    return published(EXAMPLE, tmp_path)


@pytest.mark.slow
def test_every_route_answers_as_openapi_says_to_whatever_it_allows_or_forbids(
    serve: "Serve", link: BundleLink, teacher_url: str, tmp_path: Path
) -> None:
    """Schemathesis calls every route with examples, border cases and random values."""
    experiments = tmp_path / "experiments.json"
    save_report(LiveReport(SCHEMA, None, 0, []), experiments)
    url = serve(
        bundle_path=link.path,
        admin_key=KEY,
        teacher_url=teacher_url,
        max_added_items=50,
        experiments_path=experiments,
        event_log="on",
    )
    run = run_schemathesis(url, KEY, tmp_path, EXAMPLES)
    assert run.returncode == 0, run.stdout
    answers = answers_of(url)
    schema = httpx.get(f"{url}/openapi.json", timeout=PATIENCE_SECONDS).json()
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            statuses = set(answers.get((verb.upper(), path), ()))
            assert statuses <= set(operation["responses"]), (verb, path)
            assert statuses & {"200", "204"}, (verb, path)
    assert 'source="teacher"' in httpx.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text
