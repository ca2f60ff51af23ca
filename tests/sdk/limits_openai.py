"""What a tenant of the `openai` package may not use, pay for or send; and a connection that is cut."""

import asyncio
import operator
import unittest

import openai

from gateway import KEY, Cable, hash_of, in_a_row

POOR = "a-key-of-poor"
MESSAGES = [{"role": "user", "content": "Tell me of foxes at dawn."}]
MORE = """
[models.slow]
routes = [{ provider = "rw", model = "slow-text" }]
[models.dear]
routes = [{ provider = "rw", model = "sim-text" }]
price = { request = 1.0 }
[tiers.poor]
models = ["dear"]
budget = { dollars_per_day = 0.5 }
[tenants.poor]
tier = "poor"
api_keys = ["HASH"]
"""


class Limits(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.far, self.near = in_a_row(MORE.replace("HASH", hash_of(POOR)))
        self.addCleanup(self.far.stop)
        self.addCleanup(self.near.stop)

    def client(self, key=KEY, url=None, retries=0):
        client = openai.AsyncOpenAI(base_url=url or self.near.url, api_key=key, timeout=20, max_retries=retries)
        self.addAsyncCleanup(client.close)
        return client

    async def refused(self, client, model, kind, messages=MESSAGES):
        with self.assertRaises(kind) as caught:
            await client.chat.completions.create(model=model, messages=messages)
        self.assertEqual(type(caught.exception), kind, "and no kind below it")
        return caught.exception.status_code, caught.exception.response.headers["x-fairflow-reason"], caught.exception.code

    async def test_a_model_that_the_tenant_may_not_use(self):
        self.assertEqual(
            await self.refused(self.client(POOR), "sim:text@1", openai.PermissionDeniedError),
            (403, "model_forbidden", "model_forbidden"),
        )

    async def test_a_body_over_the_limit(self):
        long = [{"role": "user", "content": "x" * (1 << 20)}]
        told = await self.refused(self.client(), "dear", openai.APIStatusError, long)
        self.assertEqual(told[:2], (413, "body_too_large"))

    async def test_a_budget_that_is_used_up_is_not_asked_again(self):
        poor = self.client(POOR, retries=3)
        await poor.chat.completions.create(model="dear", messages=MESSAGES)
        self.assertEqual(
            await self.refused(poor, "dear", openai.RateLimitError), (429, "budget_exhausted", "insufficient_quota")
        )
        self.assertEqual(self.near.counted("dear", "fairflow_rejected_total", reason="budget_exhausted"), 1)

    async def test_a_connection_that_is_cut_is_tried_again_by_the_sdk(self):
        async with Cable(self.near.url) as cable:
            url = cable.url.replace("ws://", "http://")
            asked = asyncio.ensure_future(self.client(url=url, retries=2).chat.completions.create(model="slow", messages=MESSAGES))
            await self.near.came("slow")
            cable.cut()
            self.assertIn("simulated", (await asyncio.wait_for(asked, 20)).choices[0].message.content)
            asked = asyncio.ensure_future(self.client(url=url).chat.completions.create(model="slow", messages=MESSAGES))
            await self.near.came("slow")
            cable.cut()
            with self.assertRaises(openai.APIConnectionError):
                await asyncio.wait_for(asked, 20)
        # Those that were cut were given up, and hold nothing.
        await self.near.came("slow", 2, "fairflow_requests_total", outcome="cancelled")
        await self.near.came("slow", 0, reached=operator.eq)


if __name__ == "__main__":
    unittest.main()
