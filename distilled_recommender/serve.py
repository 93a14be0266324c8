"""`distilled-recommender serve`: starts `python -m service` with a bundle and some settings.

The settings are environment variables of the service. Those that are often changed are options
too, and say what the service's own settings say.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from distilled_recommender.files import BUNDLE, carried
from service.settings import Settings
from training.cli import say
from training.errors import ConfigError

NO_BUNDLE = """\
no bundle: name its folder, as in `distilled-recommender serve work/movielens/bundle`, or set \
BUNDLE_PATH. `distilled-recommender demo` makes one of MovieLens, `distilled-recommender export` \
one of your own data; `distilled-recommender serve --example` serves the one that the package \
carries"""


def _setting(name: str) -> Parameter:
    """An option that stands for the environment variable of a setting, with its help text.

    The variable is named in the help and not read here: the service reads it itself, and takes an
    empty one for unset.
    """
    field = Settings.model_fields[name]
    text = (field.description or "").partition(": ")[2]
    default = "" if field.default is None else f" [default: {field.default}]"
    return Parameter(help=f"{text[:1].upper()}{text[1:]}. [env var: {name.upper()}]{default}")


@Parameter(name="*")
@dataclass(frozen=True)
class ServeOptions:
    """Options of `serve`; one that is not given leaves its setting to the environment."""

    host: Annotated[str | None, _setting("host")] = None
    port: Annotated[int | None, _setting("port")] = None
    workers: Annotated[int | None, _setting("workers")] = None
    teacher_url: Annotated[str | None, _setting("teacher_url")] = None

    def environment(self) -> Mapping[str, str]:
        """The given options as environment variables."""
        return {name.upper(): str(value) for name, value in vars(self).items() if value is not None}


DEFAULTS = ServeOptions()
BundleFolder = Annotated[Path | None, _setting("bundle_path")]
Example = Annotated[
    bool,
    Parameter(help="Serve the MovieLens bundle that the package carries (no commercial use)."),
]


def command(
    bundle: BundleFolder = None,
    /,
    *,
    example: Example = False,
    options: ServeOptions = DEFAULTS,
) -> None:
    """Serve a bundle over HTTP.

    All other settings are environment variables; `python -m service --help` lists them.
    """
    if example:
        bundle = carried(BUNDLE)
        say(f"serving {bundle}")
    if bundle is not None:
        os.environ["BUNDLE_PATH"] = str(bundle)
    elif not _is_set_otherwise():
        raise ConfigError(NO_BUNDLE)
    os.environ.update(options.environment())
    _become_the_service()


def _is_set_otherwise() -> bool:
    """Whether the service finds a bundle by itself: by a variable, secret files or `./bundle`."""
    others = ("BUNDLE_PATH", "VARIANTS", "SECRETS_PATH")
    default: Path = Settings.model_fields["bundle_path"].default
    return any(os.environ.get(each) for each in others) or default.exists()


def _become_the_service() -> None:
    """Replaces this process by `python -m service`, so that no worker imports the command line."""
    sys.stdout.flush()
    # -P: a folder `service` in the working folder is not the service.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "service"])  # noqa: S606
