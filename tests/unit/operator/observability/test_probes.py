"""The HTTP server of the probes."""

import aiohttp

from scoring_operator.observability.metrics import Metrics
from scoring_operator.observability.probes import serve_probes
from tests.testkit.operator_process import free_port


async def test_probes_respond_with_the_problem_or_ok() -> None:
    problems = {"alive": "", "ready": "not listed yet"}
    metrics = Metrics()
    port = free_port()
    serving = serve_probes(port, metrics, liveness=lambda: problems["alive"], readiness=lambda: problems["ready"])
    async with serving, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert await ask("/healthz") == (200, "ok")
        assert await ask("/readyz") == (503, "not listed yet")
        problems |= {"alive": "the watch is dead", "ready": ""}
        assert await ask("/healthz") == (503, "the watch is dead")
        assert await ask("/readyz") == (200, "ok")
        assert "fleetscore_lease_held" in (await ask("/metrics"))[1]
