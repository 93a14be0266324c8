"""Proves by generated requests that fast lanes answer like FastAPI, and routes as OpenAPI says.

No request may be answered with a 5xx.

python -m proofs fuzz [--bodies N] [--examples N] [--bundle FOLDER]
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from proofs.fixtures.places import EXAMPLE
from proofs.fuzz.lanes import lane_figures
from proofs.fuzz.routes import route_figures
from proofs.record import Figure


def prove(
    *,
    bodies: Annotated[int, Parameter(help="Number of generated bodies.")] = 100_000,
    examples: Annotated[
        int, Parameter(help="Schemathesis' examples of each route and kind of value.")
    ] = 500,
    bundle: Annotated[Path, Parameter(help="Bundle that the applications serve.")] = EXAMPLE,
) -> Iterator[Figure]:
    """Compare fast lanes with FastAPI, and all routes with OpenAPI."""
    yield from lane_figures(bundle, bodies)
    with TemporaryDirectory() as name:
        yield from route_figures(bundle, examples, Path(name).resolve())
