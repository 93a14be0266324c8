import httpx
import pytest

pytestmark = pytest.mark.anyio


async def name(client: httpx.AsyncClient, given: str) -> str:
    response = await client.get("/healthz", headers={"X-Request-ID": given})
    return response.headers["X-Request-ID"]


async def test_an_answer_has_the_id_that_its_request_sent(
    client: httpx.AsyncClient,
) -> None:
    assert await name(client, "checkout-7f/3") == "checkout-7f/3"


async def test_each_request_without_an_id_gets_one_of_its_own(client: httpx.AsyncClient) -> None:
    names = {(await client.get("/healthz")).headers["X-Request-ID"] for _ in range(3)}
    assert len(names) == 3


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, 'a"b'])
async def test_an_id_that_could_break_a_log_line_is_replaced(
    client: httpx.AsyncClient, given: str
) -> None:
    assert await name(client, given) not in {given, ""}


async def test_problems_have_an_id_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nothing/here")).headers["X-Request-ID"]
