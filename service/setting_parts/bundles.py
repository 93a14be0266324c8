"""Settings of the served bundles: their places, their checks, and the search for new bundles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from export.contract.addresses.object_store import is_address
from service.setting_parts.variants import DEFAULT_VARIANT, VariantSetting, parse_variants

DEFAULT_PROVIDER = "CPUExecutionProvider"
"""The execution provider that every onnxruntime has."""

_GIB = 1 << 30


class BundleSettings(BaseSettings):
    """Settings of the served bundles; a base class of `service.settings.Settings`."""

    bundle_path: Path = Field(
        default=Path("bundle"),
        description="BUNDLE_PATH: the bundle to serve: a folder that `export` wrote, or the link "
        "`active` to the last published one; if the bundle there changes, the service loads it",
    )
    bundle: str | None = Field(
        default=None,
        description="BUNDLE: address to which bundles are published, such as s3://bucket/shop, "
        "gs://bucket/shop, az://container/shop or file:///mnt/shop; the active one is served, "
        "instead of BUNDLE_PATH; needs `pip install 'distilled-recommender[object-store]'`; "
        "AWS_ENDPOINT_URL and AWS_ALLOW_HTTP=true reach another store that speaks S3 without TLS",
    )
    variants: str | None = Field(
        default=None,
        description="VARIANTS: bundles that share the sessions by weight: `name=path:weight, …`, "
        "or a folder of bundles of equal weight; a path may be an address as in BUNDLE; the first "
        "is the control; unset = BUNDLE or BUNDLE_PATH",
    )
    bundle_cache_path: Path = Field(
        default=Path("bundle-cache"),
        description="BUNDLE_CACHE_PATH: folder on this machine's disk for copies of bundles that "
        "have an address; with it a service starts while the store is lost",
    )
    bundle_cache_bytes: int = Field(
        default=8 * _GIB,
        ge=1,
        description="BUNDLE_CACHE_BYTES: maximum size of a bundle at an address, and of the copies "
        "of one address together, of which at least two are kept",
    )
    bundles_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="BUNDLES_POLL_SECONDS: interval at which a worker looks for a new bundle",
    )
    load_seconds: float = Field(
        default=60.0,
        gt=0,
        le=3_600,
        description="LOAD_SECONDS: maximum time in which a child process loads and checks a new "
        "bundle; a bundle that takes longer is refused",
    )
    bundle_public_keys: Path | None = Field(
        default=None,
        description="BUNDLE_PUBLIC_KEYS: file of minisign public keys; if set, only bundles that "
        "one of them has signed are served. It is read at the start",
    )

    execution_providers: str = Field(
        default=DEFAULT_PROVIDER,
        description="EXECUTION_PROVIDERS: onnxruntime's execution providers, the preferred one "
        "first, such as `CUDAExecutionProvider, CPUExecutionProvider`; others than the CPU's need "
        "another build of onnxruntime",
    )

    @property
    def providers(self) -> Sequence[str]:
        """The names in EXECUTION_PROVIDERS, the preferred one first."""
        return [each.strip() for each in self.execution_providers.split(",")]

    @property
    def served_variants(self) -> Sequence[VariantSetting]:
        """The variants to serve, the control first.

        Without VARIANTS, there is one variant, at BUNDLE or else at BUNDLE_PATH. The path of a
        variant with an address is a link in the cache.
        """
        if self.variants is not None:
            found = parse_variants(self.variants)
        elif self.bundle is not None:
            found = [VariantSetting(DEFAULT_VARIANT, address=self.bundle)]
        else:
            found = [VariantSetting(DEFAULT_VARIANT, self.bundle_path)]
        return [each.cached_in(self.bundle_cache_path) for each in found]

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, variants: str | None) -> str | None:
        if variants is not None:
            parse_variants(variants)
        return variants

    @field_validator("execution_providers")
    @classmethod
    def _check_providers(cls, text: str) -> str:
        if text == DEFAULT_PROVIDER:  # importing onnxruntime takes a tenth of a second
            return text
        from onnxruntime import get_available_providers

        available = get_available_providers()
        if unknown := [each for each in text.split(",") if each.strip() not in available]:
            raise ValueError(
                f"{', '.join(map(str.strip, unknown))!r} is not in this onnxruntime, which has "
                f"{', '.join(available)}; install another build, such as onnxruntime-gpu, in place "
                "of onnxruntime"
            )
        return text

    @field_validator("bundle")
    @classmethod
    def _check_bundle(cls, bundle: str | None) -> str | None:
        if bundle is not None and not is_address(bundle):
            raise ValueError(
                f"{bundle!r} is not an address such as s3://bucket/shop; set BUNDLE_PATH to serve "
                "a folder"
            )
        return bundle

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        if self.bundle is not None and self.variants is not None:
            raise ValueError("BUNDLE and VARIANTS are both set: add the address to VARIANTS")
        return self
