"""What no image may hold."""

import re
from pathlib import Path

# Within base64 (Pillow 13 carries a font so) anything can read like a key: no run is around one.
PATTERN = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"
    rb"|(?<![A-Za-z0-9+]{4})AKIA[0-9A-Z]{16}(?![A-Za-z0-9+]{4})|ghp_[A-Za-z0-9]{36}"
)
NAMES = {".env", ".git", ".netrc", ".pypirc", "id_rsa", "pip.conf"}
SUFFIXES = {".key", ".pem"}
PUBLIC = {"cacert.pem"}  # certificates of authorities


def is_secret(name: str, text: bytes) -> bool:
    """Whether a file is one by its name or by what stands in it."""
    path = Path(name)
    named = path.name in NAMES or path.suffix in SUFFIXES
    return (named and path.name not in PUBLIC) or bool(PATTERN.search(text))
