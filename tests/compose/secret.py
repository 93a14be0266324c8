"""Finds secrets among the files of an image."""

import re
from pathlib import Path

# A key has no base64 run around it. Inside one (such as the font in Pillow 13) a match is chance.
PATTERN = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"
    rb"|(?<![A-Za-z0-9+]{4})AKIA[0-9A-Z]{16}(?![A-Za-z0-9+]{4})|ghp_[A-Za-z0-9]{36}"
)
NAMES = {".env", ".git", ".netrc", ".pypirc", "id_rsa", "pip.conf"}
SUFFIXES = {".key", ".pem"}
PUBLIC = {"cacert.pem"}  # certificates of public authorities


def is_secret(name: str, text: bytes) -> bool:
    """Tells whether a file is a secret, by its name or by its text."""
    path = Path(name)
    named = path.name in NAMES or path.suffix in SUFFIXES
    return (named and path.name not in PUBLIC) or bool(PATTERN.search(text))
