"""Opens the store at an address, by the implementation for the address's scheme."""

from export.contract.addresses.object_store import ADDRESS, ObjectStore
from export.contract.records import BundleError

_CLOUD = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")


def open_store(address: str) -> ObjectStore:
    """Opens the store at `address`; most stores connect at the first request.

    Raises:
        BundleError: `address` is malformed, the library that its scheme needs is not installed, or
            an environment variable that this library reads has a wrong value.
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise BundleError(f"{address!r}: not an address; expected one such as s3://bucket/shop")
    scheme = found["scheme"].lower()
    address = f"{scheme}://{found['rest']}".rstrip("/")
    try:
        if scheme == "file":
            from export.contract.addresses.local_store import LocalStore

            return LocalStore(address)
        if scheme in _CLOUD:
            from export.contract.addresses.cloud_store import CloudStore

            return CloudStore(address)
        from export.contract.addresses.fsspec_store import FsspecStore

        return FsspecStore(address)
    except ImportError as error:
        raise BundleError(
            f"{address}: {scheme}:// needs a library that is not installed ({error}); install "
            "distilled-recommender[object-store], and what fsspec needs for other schemes"
        ) from None
