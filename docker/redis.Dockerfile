# Redis with this project's persistence and memory policy, and with a password if one is set.

FROM redis:8
COPY docker/redis/redis.conf /etc/recommender/
COPY --chmod=755 docker/redis/start docker/redis/password docker/redis/ask docker/redis/is-answering \
    docker/redis/backup docker/redis/restore /usr/local/bin/
RUN mkdir -p /data && chown redis:redis /data
USER redis
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["start"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --start-interval=200ms --retries=3 \
    CMD ["is-answering"]
LABEL org.opencontainers.image.title="distilled-recommender redis" \
    org.opencontainers.image.description="Session histories and added items"
