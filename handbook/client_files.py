"""Makes the files of the TypeScript client that are generated: its types, and the pages' copy.

`make client` writes them. The tools are installed by `npm ci` from the client's lock file.

python -m handbook.client_files
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from service.app import create_app
from service.settings import Settings
from training.cli import say
from training.stage import write_text

ROOT = Path(__file__).parents[1]
CLIENT = ROOT / "clients" / "typescript"
NOTICE = (
    "// The TypeScript client in clients/typescript, for the pages. `make client` writes this file."
)


def schema_types() -> str:
    """Returns TypeScript types of all routes, parameters, bodies and problems of the service."""
    with TemporaryDirectory() as folder:
        document = Path(folder) / "openapi.json"
        document.write_text(json.dumps(openapi()), encoding="utf-8")
        types = document.with_suffix(".ts")
        options = [
            "--export-type",
            "--root-types",
            "--root-types-no-schema-prefix",
            # A request may leave out what has a default.
            "--default-non-nullable=false",
        ]
        run_tool("openapi-typescript", str(document), *options, "--output", str(types))
        return types.read_text(encoding="utf-8")


def openapi() -> object:
    """Returns the OpenAPI document of the service with its default settings."""
    return create_app(Settings(workers=1, redis_url=None)).openapi()


def page_script() -> str:
    """Returns the client as one JavaScript module without imports."""
    options = ["--bundle", "--format=esm", "--target=es2022", f"--banner:js={NOTICE}"]
    return run_tool("esbuild", "src/index.ts", *options)


def run_tool(name: str, *arguments: str) -> str:
    """Runs a tool of the client's lock file in the client's folder, and returns its output.

    Raises:
        subprocess.CalledProcessError: the tool fails.
    """
    tool = CLIENT / "node_modules" / ".bin" / name
    command = [str(tool), *arguments]
    return subprocess.run(command, cwd=CLIENT, check=True, stdout=subprocess.PIPE, text=True).stdout


FILES: Mapping[Path, Callable[[], str]] = {
    CLIENT / "src" / "schema.ts": schema_types,
    ROOT / "service" / "static" / "recommender-client.js": page_script,
}


def main() -> int:
    """Writes each file whose text has changed; returns the exit code, 0."""
    for path, make in FILES.items():
        text = make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            say(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
