"""Lists the generated pages of the documentation, each with the function that makes its text."""

from collections.abc import Callable, Mapping
from pathlib import Path

from handbook.reference import (
    bundle,
    commands,
    compose_settings,
    experiment_settings,
    metrics,
    problems,
    programs,
    rest,
    service_settings,
)

DOCS = Path(__file__).parents[1] / "docs"

PAGES: Mapping[Path, Callable[[], str]] = {
    DOCS / "commands.md": commands.page,
    DOCS / "reference" / "programs.md": programs.page,
    DOCS / "reference" / "service-settings.md": service_settings.page,
    DOCS / "reference" / "compose-settings.md": compose_settings.page,
    DOCS / "reference" / "experiment-settings.md": experiment_settings.page,
    DOCS / "reference" / "rest.md": rest.page,
    DOCS / "reference" / "problems.md": problems.page,
    DOCS / "reference" / "metrics.md": metrics.page,
    DOCS / "reference" / "bundle.md": bundle.page,
}
