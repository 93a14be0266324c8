# Image of the service. It has no torch and no compiler, runs as a user without privileges, and works
# on a read-only root file system.
#
#   docker build -f docker/service.Dockerfile -t distilled-recommender/service .
#   docker build -f docker/service.Dockerfile --build-context bundle=work/NAME/bundle ...   # your bundle

# NAME:TAG or, with what `docker/lock` writes, NAME:TAG@sha256:DIGEST.
ARG PYTHON_IMAGE=python:3.13-slim

# Replace this stage with `--build-context wheels=FOLDER` to let pip use wheels of your own.
FROM scratch AS wheels

# The first bundle of an empty volume at /bundles; `--build-context bundle=FOLDER` brings yours.
FROM scratch AS bundle
COPY assets/movielens/bundle /

FROM ${PYTHON_IMAGE} AS environment
# `trace` adds OpenTelemetry.
ARG EXTRAS=""
# Exact versions with the hashes of their wheels; `make lock` refreshes the files.
COPY locks/service.txt locks/service-trace.txt /
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /environment \
    && python -m pip --python /environment/bin/python install --require-hashes --no-deps --only-binary :all: \
        --find-links /wheels --requirement service${EXTRAS:+-${EXTRAS}}.txt \
    && python -m pip --python /environment/bin/python check

# Lists what the image has: the environment's packages and Debian's.
FROM ${PYTHON_IMAGE} AS sbom
COPY locks/sbom.txt /
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /cyclonedx \
    && python -m pip --python /cyclonedx/bin/python install --require-hashes --no-deps --only-binary :all: \
        --find-links /wheels --requirement sbom.txt
COPY docker/sbom.py /
COPY --from=environment /environment /environment
RUN /cyclonedx/bin/python sbom.py service --environment /environment --debian /var/lib/dpkg/status > service.cdx.json

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin recommender \
    && install --directory --owner recommender --group recommender /bundles /journal
COPY --from=environment /environment /environment
COPY --from=sbom /service.cdx.json /usr/share/sbom/
WORKDIR /app
ENV PATH=/environment/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BUNDLE_PATH=/bundles/active \
    ITEMS_PATH=/tmp/added-items.jsonl \
    JOURNAL_PATH=/journal \
    HOST=0.0.0.0 \
    PORT=8000 \
    LOG_FORMAT=json \
    DRAIN_SECONDS=5
COPY docker/healthcheck.py ./
COPY export/__init__.py export/
COPY export/contract export/contract
COPY service service
RUN python -m compileall -q .
COPY --from=bundle / /bundle
USER 10001
RUN python -m export.contract.publish /bundle /tmp/bundles && rm -r /tmp/bundles
EXPOSE 8000
STOPSIGNAL SIGTERM
# As long as a start may take: LOAD_SECONDS (60) for the bundle, and the imports.
HEALTHCHECK --interval=5s --timeout=4s --start-period=90s --start-interval=200ms --retries=3 \
    CMD ["python", "-I", "healthcheck.py", "8000", "/readyz"]
# The container publishes the first bundle itself: Docker would copy it into an empty volume, which
# fails where two replicas start at once. If publishing fails, the service reports the missing bundle.
# SIGTERM is blocked until the service can handle it, because process 1 loses signals before that.
# bash, because dash would unblock it.
CMD ["env", "--block-signal=TERM", "bash", "-c", "python -m export.contract.publish --first /bundle /bundles >/dev/null; exec python -m service"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="distilled-recommender service" \
    org.opencontainers.image.description="Next items over REST, by a student that an LLM taught" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
