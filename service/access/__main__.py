"""`python -m service.access`: makes, lists and revokes API keys.

The image of the service has this program instead of `distilled-recommender key`.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.access.key_commands import ARGUMENTS, NewKey, create_key, list_keys, revoke_key
from service.access.keys_file import KeysFileError
from service.access.principal import DEFAULT_TENANT, Limits, parse_scopes

USER_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program with `arguments` (None: those of the process); returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        for line in _run(options):
            sys.stdout.write(f"{line}\n")
    except (KeysFileError, ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return USER_ERROR
    return 0


def _run(options: Namespace) -> Iterator[str]:
    if options.command == "list":
        yield from list_keys(options.file)
    elif options.command == "revoke":
        revoke_key(options.file, options.key_id)
    else:
        limits = Limits(options.requests_per_second, options.burst, options.requests_per_day)
        scopes = parse_scopes(options.scopes)
        yield create_key(
            options.file, NewKey(scopes, options.tenant, limits, options.expires_in_days)
        )


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m service.access", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="print a new key, and add its hash to the file")
    create.add_argument("--scopes", required=True, help=ARGUMENTS["scopes"])
    create.add_argument("--tenant", default=DEFAULT_TENANT, help=ARGUMENTS["tenant"])
    for name, kind in (("requests_per_second", float), ("burst", int), ("requests_per_day", int)):
        create.add_argument(f"--{name.replace('_', '-')}", type=kind, help=ARGUMENTS[name])
    create.add_argument("--expires-in-days", type=float, help=ARGUMENTS["expires_in_days"])
    listing = commands.add_parser("list", help="print a line for each key, without secrets")
    revoke = commands.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("key_id", help=ARGUMENTS["key_id"])
    for each in (create, listing, revoke):
        each.add_argument("--file", type=Path, required=True, help=ARGUMENTS["file"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
