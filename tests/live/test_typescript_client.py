"""The TypeScript client: its generated files, in Node and in Chromium against a running service."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver

from handbook.client_files import CLIENT, FILES, run_tool
from tests.live.chromium import needs_chromium
from tests.live.page import console_messages
from tests.live.test_readme import code_block

if TYPE_CHECKING:
    from tests.live.conftest import Serve

NODE, NPM = shutil.which("node"), shutil.which("npm")
ADMIN_KEY = "an admin key of the tests"

needs_node = pytest.mark.skipif(
    not (NODE and NPM), reason="no `node` and `npm` on the PATH (Debian: nodejs, npm)"
)


@pytest.fixture(scope="module")
def url(
    serve: "Serve", films_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    log = str(tmp_path_factory.mktemp("log"))
    with serve(films_bundle, ADMIN_KEY=ADMIN_KEY, EVENT_LOG="on", EVENT_LOG_PATH=log) as url:
        yield url


@pytest.fixture(scope="module")
def tools() -> None:
    """Installs the tools of the client's lock file, unless `make client` did."""
    if not (CLIENT / "node_modules" / "ready").exists():
        install = [str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=CLIENT, check=True)
        (CLIENT / "node_modules" / "ready").touch()


def run_node(*arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [str(NODE), *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@needs_node
@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_generated_file_is_what_make_client_writes(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path](), "run `make client`"


@needs_node
@pytest.mark.usefixtures("tools")
def test_the_client_compiles_and_its_tests_pass_in_node(url: str, tmp_path: Path) -> None:
    run_tool("tsc", "--project", "tsconfig.test.json", "--outDir", str(tmp_path))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tests = sorted(map(str, (tmp_path / "test").glob("*.test.js")))
    report = run_node("--test", *tests, SERVICE_URL=url, ADMIN_KEY=ADMIN_KEY)
    passed = re.search(r"^# pass (\d+)$", report, re.MULTILINE)
    assert len(tests) == len(list((CLIENT / "test").glob("*.test.ts")))
    assert passed
    assert int(passed[1]) >= 20


@needs_node
@pytest.mark.usefixtures("tools")
def test_the_example_of_the_client_runs(url: str, tmp_path: Path) -> None:
    code = code_block(CLIENT / "README.md", "ts").replace("http://127.0.0.1:8000", url)
    example = tmp_path / "example.ts"
    example.write_text(code)
    options = ["--bundle", "--format=esm", "--alias:recommender-client=./src/index.ts"]
    bundled = tmp_path / "example.mjs"
    run_tool("esbuild", str(example), *options, f"--outfile={bundled}")
    assert len(run_node(str(bundled)).splitlines()) == 5


SCENARIO = """
const done = arguments[arguments.length - 1];
(async () => {
  const { Client, NotFoundError, newEventId } = await import("/static/recommender-client.js");
  const client = new Client("");
  const path = { session_id: `a/b ü ${newEventId()}` };
  const events = "/v1/sessions/{session_id}/events";
  const session = "/v1/sessions/{session_id}";
  const { items } = await client.post(events, { path, query: { k: 3 }, body: { item_id: "1" } });
  const { history } = await client.get(session, { path });
  await client.delete(session, { path });
  const error = await client.get(session, { path }).catch((error) => error);
  return [items.length, history, error instanceof NotFoundError, error.status];
})().then(done, (error) => done(String(error)));
"""


@needs_chromium
def test_the_client_works_in_a_browser_against_the_service(
    browser: webdriver.Chrome, url: str
) -> None:
    browser.get(f"{url}/static/theme.js")  # a file with the pages' Content-Security-Policy
    console_messages(browser)
    found: Any = browser.execute_async_script(SCENARIO)
    assert found == [3, ["1"], True, 404]
    assert all("404" in each for each in console_messages(browser))
