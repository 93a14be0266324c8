# Redis with this project's persistence and memory policy, and with a password if one is set.

# NAME:TAG or, with what `docker/lock` writes, NAME:TAG@sha256:DIGEST.
ARG PYTHON_IMAGE=python:3.13-slim
ARG REDIS_IMAGE=redis:8

# Replace this stage with `--build-context wheels=FOLDER` to let pip use wheels of your own.
FROM scratch AS wheels

FROM ${REDIS_IMAGE} AS redis
RUN redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/' > /redis-version

# Lists what the image has: Redis, which Debian's list may not name, and Debian's packages.
FROM ${PYTHON_IMAGE} AS sbom
COPY locks/sbom.txt /
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /cyclonedx \
    && python -m pip --python /cyclonedx/bin/python install --require-hashes --no-deps --only-binary :all: \
        --find-links /wheels --requirement sbom.txt
COPY docker/sbom.py /
COPY --from=redis /redis-version /var/lib/dpkg/status /redis/
RUN /cyclonedx/bin/python sbom.py redis --version "$(cat /redis/redis-version)" --debian /redis/status \
    > redis.cdx.json

FROM ${REDIS_IMAGE}
COPY docker/redis/redis.conf /etc/recommender/
COPY --chmod=755 docker/redis/start docker/redis/password docker/redis/tls docker/redis/ask docker/redis/is-answering \
    docker/redis/backup docker/redis/restore /usr/local/bin/
COPY --from=sbom /redis.cdx.json /usr/share/sbom/
RUN mkdir -p /data && chown redis:redis /data
USER redis
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["start"]
# Ten minutes to load a long file.
HEALTHCHECK --interval=5s --timeout=3s --start-period=600s --start-interval=200ms --retries=3 \
    CMD ["is-answering"]
LABEL org.opencontainers.image.title="distilled-recommender redis" \
    org.opencontainers.image.description="Session histories and added items"
