"""Writes all pages of the documentation that are made from code.

python -m handbook
"""

import sys

from handbook.pages import PAGES
from training.cli import say
from training.stage import write_text


def main() -> int:
    """Writes each page whose text has changed; returns the exit code, 0."""
    for path, page in PAGES.items():
        text = page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            say(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
