"""Signs bundles and verifies their signatures, in minisign's format (Ed25519).

The signature of `manifest.json` is stored beside it, in `manifest.json.minisig`. The manifest has
the hashes of the other files, so its signature covers the whole bundle. This command also verifies
the signature: `minisign -V -p KEY.pub -m manifest.json`. This module needs the library py-minisign
(the extra `sign`), so programs import it only when they are given a key.
"""

import os
from base64 import standard_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minisign import Error, PublicKey, SecretKey, Signature, VerifyError

from export.contract.bundle import BundleError, BundleLayout, load_bundle
from export.contract.folders import whole_file
from export.contract.layout import MAX_SIGNATURE_SIZE
from export.contract.reading import read_file

_MAX_KEYS_SIZE = 2**16
_COMMENT = "untrusted comment:"
_KEY_ID = slice(2, 10)  # bytes of a decoded key or signature, after the name of the algorithm


@dataclass(frozen=True)
class TrustedKeys:
    """Public keys: a bundle is accepted if one of them verifies its signature.

    Attributes:
        path: the file that the keys were read from.
        keys: the public keys by their minisign key ids.
    """

    path: Path
    keys: Mapping[bytes, PublicKey]

    def verify(self, manifest: Path, content: bytes) -> None:
        """Verifies the signature of the manifest at the path `manifest`, whose bytes are `content`.

        Raises:
            BundleError: the signature is missing, was made with a key that is not in `keys`, or
                belongs to other content.
        """
        path = BundleLayout(manifest.parent).signature
        signature = _read_signature(path)
        key_id = standard_b64decode(bytes(signature).split(b"\n")[1])[_KEY_ID]
        if key_id not in self.keys:
            raise BundleError(
                f"{path}: signed with the key {_shown(key_id)}, which is not in {self.path}"
            )
        try:
            self.keys[key_id].verify(content, signature)
        except VerifyError:
            raise BundleError(
                f"{path}: not the signature of this {manifest.name}, which was changed after it "
                "was signed; sign the bundle again"
            ) from None


def read_trusted_keys(path: Path) -> TrustedKeys:
    """Reads a file of one or more public keys, as minisign writes them.

    Raises:
        BundleError: the file cannot be read, has no key, or has a line that is neither a key nor a
            comment.
    """
    keys = {}
    # The operator's own file may be a link, as all files of a mounted ConfigMap or Secret are.
    text = read_file(Path(os.path.realpath(path)), _MAX_KEYS_SIZE).decode(errors="replace")
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith(_COMMENT):
            continue
        try:
            key = PublicKey.from_base64(line)
        except Error as error:
            raise BundleError(
                f"{path}, line {number}: not a minisign public key ({error})"
            ) from None
        keys[standard_b64decode(key.to_base64())[_KEY_ID]] = key
    if not keys:
        raise BundleError(f"{path}: contains no minisign public key")
    return TrustedKeys(path, keys)


def sign_bundle(folder: Path, key: Path, password: str | None = None) -> str:
    """Signs the bundle in `folder` with the secret key in the file `key`.

    Args:
        folder: the bundle's folder, where the signature is written.
        key: file of a secret key, as `minisign -G` writes it.
        password: password of the secret key; None if it has none.

    Returns:
        The `model_version` of the signed bundle.

    Raises:
        BundleError: the bundle is invalid, the key cannot be read, or the password is wrong.
    """
    bundle = load_bundle(folder)
    version = bundle.manifest.model_version
    layout = BundleLayout(bundle.folder)
    content = layout.manifest.read_bytes()
    try:
        with SecretKey.from_bytes(read_file(key, _MAX_KEYS_SIZE)) as secret_key:
            if secret_key.is_encrypted():
                secret_key.decrypt(password or "")
            signature = secret_key.sign(content, trusted_comment=f"model_version:{version}")
    except Error as error:
        raise BundleError(f"{key}: {error}; expected a minisign secret key") from None
    with whole_file(layout.signature) as file:
        file.write(bytes(signature) + b"\n")
    return version


def is_encrypted(key: Path) -> bool:
    """Returns whether the secret key in the file `key` is encrypted with a password.

    Raises:
        BundleError: the file cannot be read or has no secret key.
    """
    try:
        with SecretKey.from_bytes(read_file(key, _MAX_KEYS_SIZE)) as secret_key:
            return bool(secret_key.is_encrypted())
    except Error as error:
        raise BundleError(f"{key}: {error}; expected a minisign secret key") from None


def _read_signature(path: Path) -> Signature:
    if not path.exists():
        raise BundleError(
            f"{path}: missing, and only signed bundles are accepted; sign it with "
            "`distilled-recommender bundle sign`"
        )
    try:
        return Signature.from_bytes(read_file(path, MAX_SIGNATURE_SIZE))
    except (Error, ValueError) as error:
        raise BundleError(f"{path}: not a minisign signature ({error})") from None


def _shown(key_id: bytes) -> str:
    """Returns a key id in the form in which minisign shows it: hexadecimal, last byte first."""
    return key_id[::-1].hex().upper()
