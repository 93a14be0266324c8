"""A short form of `python -m proofs bundles`."""

import subprocess
import sys
from pathlib import Path

from proofs.bundles import prove

ROOT = Path(__file__).parents[2]


def test_damaged_and_crafted_bundles_are_refused_with_a_reason_or_served_without_a_5xx() -> None:
    figures = {each.name: each for each in prove(damages=60, through_child=2, seed=7)}
    assert all(each.holds for each in figures.values())
    assert figures["crafted: refused"].value >= 250
    assert figures["in process: refused"].value > 30
    assert figures["through the child: slowest"].value > 0


def test_the_proof_runs_where_another_package_is_called_tests(tmp_path: Path) -> None:
    """As in an environment in which a library has installed its tests."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from proofs.bundles import prove;"
        "print(next(prove(damages=1, through_child=0)).name)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["in process: refused"], done.stderr
