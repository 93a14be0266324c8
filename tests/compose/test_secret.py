import pytest

from tests.compose.secret import is_secret

KEY = "AKIA" + "Q7" * 8


@pytest.mark.parametrize("name", ["app/.env", "root/id_rsa", "etc/tls/server.key", "a/server.pem"])
def test_some_files_are_secret_by_name(name: str) -> None:
    assert is_secret(name, b"")


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"aws_access_key_id={KEY}\n",
        f'{{"key": "{KEY}"}}',
        f"s3://{KEY}:secret@bucket",
        f"A=1\\n{KEY}\\n",
        f"Credential%3D{KEY}%2F20261127",
        f"Credential={KEY}/20261127/eu-west-1/s3/aws4_request",
        f"https://ghp_{'a1' * 18}@host/x",
        f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIE' * 16}\n",
    ],
)
def test_a_key_is_found_anywhere_in_a_text(text: str) -> None:
    assert is_secret("app/config.py", text.encode())


@pytest.mark.parametrize(
    "text",
    [
        f"AAwAaAKI{KEY}\nAABgAPA",  # base64 of a font, as in Pillow
        f"A{KEY}AAAAwAaAKI",
        f"wAaA{KEY}AA==",
        "-----BEGIN PRIVATE KEY-----",  # the marker in the source of a key parser
        "AKIA is how a key begins",
    ],
)
def test_a_text_that_only_resembles_a_key_is_not_a_secret(text: str) -> None:
    assert not is_secret("PIL/ImageFont.py", text.encode())


def test_certificates_of_public_authorities_are_not_secret() -> None:
    assert not is_secret("certifi/cacert.pem", b"")
