from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from service.stores.cluster_connection import ClusterConnection
from service.stores.redis_client import connect_cluster
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster


@pytest.fixture
async def shared(redis_cluster: "RedisCluster") -> AsyncIterator[ClusterConnection]:
    client = connect_cluster(redis_cluster.url, timeout_seconds=PATIENCE_SECONDS)
    yield client
    await client.aclose()


@pytest.fixture
async def mortal(mortal_cluster: "RedisCluster") -> AsyncIterator[ClusterConnection]:
    client = connect_cluster(mortal_cluster.url, timeout_seconds=PATIENCE_SECONDS)
    yield client
    await client.aclose()
