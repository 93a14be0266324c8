"""Proves by generated requests that fast lanes answer like FastAPI, and never with a 5xx.

python -m proofs fuzz [--bodies N] [--bundle FOLDER]
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from proofs.fixtures.places import EXAMPLE
from proofs.fuzz.lanes import lane_figures
from proofs.record import Figure


def prove(
    *,
    bodies: Annotated[int, Parameter(help="Number of generated bodies.")] = 100_000,
    bundle: Annotated[Path, Parameter(help="Bundle that the applications serve.")] = EXAMPLE,
) -> Iterator[Figure]:
    """Compare fast lanes with FastAPI."""
    yield from lane_figures(bundle, bodies)
