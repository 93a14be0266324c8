"""Tests of signed bundles: unsigned, changed or by another key, each is refused with its reason."""

from pathlib import Path

import pytest

pytest.importorskip("minisign", reason="needs the extra `sign`")

from minisign import KeyPair, PublicKey, Signature

from export.contract.bundle import BundleError, BundleLayout, Item, load_bundle, save_bundle
from export.contract.bundles_folder import publish
from export.contract.publish import main, trust_of
from export.contract.signatures import TrustedKeys, is_encrypted, read_trusted_keys, sign_bundle


def keys(folder: Path, name: str, password: str = "") -> Path:
    """Makes the files NAME.key and NAME.pub; returns the first."""
    pair = KeyPair.generate()
    (folder / f"{name}.pub").write_bytes(bytes(pair.public_key) + b"\n")
    if password:
        pair.secret_key.encrypt(password)
    (folder / f"{name}.key").write_bytes(bytes(pair.secret_key) + b"\n")
    return folder / f"{name}.key"


def save(folder: Path, title: str = "Up") -> Path:
    graph = folder.parent / "exported.onnx"
    graph.write_bytes(b"graph")
    facts = {"student": "sasrec", "max_history_length": 50, "metrics": {}, "provenance": {}}
    save_bundle(folder, graph, [Item("up", title)], parity_error=0.0, **facts)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save(tmp_path / "bundle")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return keys(tmp_path, "ours")


@pytest.fixture
def trust(key: Path) -> TrustedKeys:
    return read_trusted_keys(key.with_suffix(".pub"))


def test_a_signed_bundle_is_read_and_published_with_its_signature(
    bundle: Path, key: Path, trust: TrustedKeys, tmp_path: Path
) -> None:
    version = sign_bundle(bundle, key)
    assert load_bundle(bundle, trust).manifest.model_version == version
    publish(bundle, tmp_path / "bundles", trust)
    assert load_bundle(tmp_path / "bundles/active", trust).manifest.model_version == version


def test_the_signature_is_minisigns_and_names_the_version(bundle: Path, key: Path) -> None:
    version = sign_bundle(bundle, key)
    manifest = BundleLayout(bundle).manifest
    signature = Signature.from_file(f"{manifest}.minisig")
    PublicKey.from_file(key.with_suffix(".pub")).verify(manifest.read_bytes(), signature)
    assert signature.trusted_comment == f"model_version:{version}"
    assert signature.is_prehashed()


def test_an_unsigned_bundle_is_refused(bundle: Path, trust: TrustedKeys, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json\.minisig: missing, and only signed"):
        load_bundle(bundle, trust)
    with pytest.raises(BundleError, match="only signed bundles are accepted"):
        publish(bundle, tmp_path / "bundles", trust)
    assert not (tmp_path / "bundles").exists()


def test_a_bundle_that_another_key_has_signed_is_refused_by_its_name(
    bundle: Path, trust: TrustedKeys, tmp_path: Path
) -> None:
    sign_bundle(bundle, keys(tmp_path, "theirs"))
    shown = (tmp_path / "theirs.pub").read_text().split()[5]  # untrusted comment: ... key ID
    with pytest.raises(
        BundleError, match=rf"signed with the key {mirrored(shown)}, which is not in"
    ):
        load_bundle(bundle, trust)


def mirrored(key_id: str) -> str:
    """Minisign shows the bytes of a key id in reverse, py-minisign's comment does not."""
    return bytes.fromhex(key_id)[::-1].hex().upper()


def test_a_bundle_that_was_changed_after_signing_is_refused(
    bundle: Path, key: Path, trust: TrustedKeys, tmp_path: Path
) -> None:
    sign_bundle(bundle, key)
    signature = BundleLayout(bundle).signature.read_bytes()
    other = save(tmp_path / "other", title="Another title")  # intact, with fitting hashes
    BundleLayout(other).signature.write_bytes(signature)
    with pytest.raises(BundleError, match=r"which was changed after it was signed"):
        load_bundle(other, trust)
    (bundle / "items.jsonl").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"items\.jsonl: sha256 is"):
        load_bundle(bundle, trust)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\xff" * 300, b"a\nb\nc\nd\n", b"x" * 5_000])
def test_what_is_no_signature_is_refused(bundle: Path, trust: TrustedKeys, content: bytes) -> None:
    BundleLayout(bundle).signature.write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json\.minisig: "):
        load_bundle(bundle, trust)


def test_every_key_of_the_file_is_accepted(bundle: Path, key: Path, tmp_path: Path) -> None:
    keys(tmp_path, "theirs")
    both = tmp_path / "both.pub"
    both.write_bytes(
        b"".join((tmp_path / f"{name}.pub").read_bytes() for name in ("theirs", "ours"))
    )
    sign_bundle(bundle, key)
    assert load_bundle(bundle, read_trusted_keys(both))


def test_the_keys_may_be_a_link_as_kubernetes_mounts_them(key: Path, tmp_path: Path) -> None:
    (tmp_path / "..2031").mkdir()
    key.with_suffix(".pub").rename(tmp_path / "..2031/bundles.pub")
    (tmp_path / "..data").symlink_to("..2031")
    (tmp_path / "bundles.pub").symlink_to("..data/bundles.pub")
    assert len(read_trusted_keys(tmp_path / "bundles.pub").keys) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "contains no minisign public key"),
        ("untrusted comment: x\nrubbish\n", "line 2: not a minisign public key"),
    ],
)
def test_a_file_without_a_usable_key_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "keys.pub").write_text(content)
    with pytest.raises(BundleError, match=reason):
        read_trusted_keys(tmp_path / "keys.pub")
    with pytest.raises(BundleError, match="missing"):
        trust_of(tmp_path / "none.pub")


def test_a_key_with_a_password_signs_with_it_alone(bundle: Path, tmp_path: Path) -> None:
    key = keys(tmp_path, "locked", password="correct horse")  # noqa: S106 a test's own
    assert is_encrypted(key)
    with pytest.raises(BundleError, match=r"locked\.key: "):
        sign_bundle(bundle, key, "wrong")
    assert not BundleLayout(bundle).signature.exists()
    sign_bundle(bundle, key, "correct horse")
    assert load_bundle(bundle, read_trusted_keys(tmp_path / "locked.pub"))


def test_signing_a_published_bundle_again_replaces_the_unsigned_copy(
    bundle: Path, key: Path, trust: TrustedKeys, tmp_path: Path
) -> None:
    publish(bundle, tmp_path / "bundles")
    sign_bundle(bundle, key)
    publish(bundle, tmp_path / "bundles")
    assert load_bundle(tmp_path / "bundles/active", trust)


def test_the_program_publishes_only_what_the_configured_keys_have_signed(
    bundle: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLE_PUBLIC_KEYS", str(key.with_suffix(".pub")))
    assert main([str(bundle), str(tmp_path / "bundles")]) == 2
    sign_bundle(bundle, key)
    assert main([str(bundle), str(tmp_path / "bundles")]) == 0
