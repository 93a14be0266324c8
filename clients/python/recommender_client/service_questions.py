"""Requests about the service itself: its model, its variants and their live figures, its health."""

from recommender_client import answers
from recommender_client.api_request import ApiRequest
from recommender_client.arguments import given


def read_model() -> ApiRequest[answers.ModelAnswer]:
    """Reads the manifest of the served bundle, and all variants."""
    return ApiRequest("GET", "/v1/model")


def read_experiments(*, admin_key: str | None = None) -> ApiRequest[answers.ExperimentsAnswer]:
    """Reads live figures of the variants, and which one is ahead.

    Refused with 404 if the service has no figures.

    Args:
        admin_key: the service's ADMIN_KEY, or a key with scope *admin*.
    """
    return ApiRequest("GET", "/v1/experiments", admin_key=admin_key)


def read_operations(*, admin_key: str | None = None) -> ApiRequest[answers.OperationsAnswer]:
    """Reads what is served, and all metrics of one replica.

    Args:
        admin_key: the service's ADMIN_KEY, or a key with scope *admin*.
    """
    return ApiRequest("GET", "/v1/operations", admin_key=admin_key)


def activate_model(
    admin_key: str, *, bundle: str, variant: str | None = None
) -> ApiRequest[answers.VariantAnswer]:
    """Replaces the served bundle by another one, in all workers.

    Refused with 401 or 403 if the admin key is wrong, with 404 if there is no such variant, with
    409 if the service cannot replace the link BUNDLE_PATH, with 422 if the bundle cannot be served.
    After a refusal the old bundle is still served.

    Args:
        admin_key: the service's ADMIN_KEY.
        bundle: name of the new bundle's folder, which is beside the link BUNDLE_PATH.
        variant: name of the variant whose bundle is replaced; None is the control.
    """
    body = given(bundle=bundle, variant=variant)
    return ApiRequest("POST", "/v1/model/activate", body=body, admin_key=admin_key)


def rollback_model(
    admin_key: str, *, variant: str | None = None
) -> ApiRequest[answers.VariantAnswer]:
    """Serves the previous bundle again; a second call undoes the first.

    Refused with 401 or 403 if the admin key is wrong, with 404 if there is no such variant, with
    409 if the variant has no previous bundle, with 422 if that bundle cannot be served any more.

    Args:
        admin_key: the service's ADMIN_KEY.
        variant: name of the variant whose bundle is replaced; None is the control.
    """
    body = given(variant=variant)
    return ApiRequest("POST", "/v1/model/rollback", body=body, admin_key=admin_key)


def is_alive() -> ApiRequest[answers.HealthAnswer]:
    """Checks whether the process runs."""
    return ApiRequest("GET", "/healthz")


def is_ready() -> ApiRequest[answers.ReadinessAnswer]:
    """Checks whether the service accepts requests; refused with 503 while it shuts down."""
    return ApiRequest("GET", "/readyz")


def read_metrics() -> ApiRequest[str]:
    """Reads the metrics of all workers, as text in the Prometheus format."""
    return ApiRequest("GET", "/metrics")
