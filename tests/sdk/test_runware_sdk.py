"""The newer `runware-sdk` package, over REST and over the WebSocket, against a gateway behind which is another."""

import asyncio
import unittest

from runware import Runware
from runware.errors import RunwareError

from gateway import IN_FLIGHT, KEY, QUEUED, Cable, in_a_row, in_front_of, sent_away_in_a_drain


def image(model="sim:image@1", **more):
    return {"taskType": "imageInference", "model": model, "positivePrompt": "a red fox", "width": 512, "height": 512, **more}


TEXT = {
    "taskType": "textInference",
    "model": "sim:text@1",
    "messages": [{"role": "user", "content": "Tell me of foxes."}],
}


class Sdk(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.far, self.near = in_a_row()
        self.addCleanup(self.far.stop)
        self.addCleanup(self.near.stop)

    def client(self, transport, key=KEY, socket=None, **more):
        socket = socket or self.near.url.replace("http", "ws", 1)
        client = Runware(
            api_key=key, transport=transport, ws_base_url=socket, http_base_url=self.near.url, max_retries=0, **more
        )
        self.addAsyncCleanup(client.close)
        return client

    async def test_every_kind_of_task(self):
        for transport in ("rest", "websocket"):
            client = self.client(transport)
            for delivery in ("sync", "async"):
                with self.subTest(transport=transport, delivery=delivery):
                    run = lambda task: asyncio.wait_for(client.run({**task, "deliveryMethod": delivery}), 20)
                    images = await run(image(numberResults=2, includeCost=True))
                    self.assertEqual(len({i["imageUUID"] for i in images}), 2)
                    self.assertTrue(all(i["imageURL"] and i["cost"] for i in images))
                    self.assertTrue((await run(TEXT))[0]["text"])
                    video = {"taskType": "videoInference", "model": "sim:video@1", "positivePrompt": "x", "duration": 5}
                    self.assertTrue((await run(video))[0]["videoURL"])
                    audio = {"taskType": "audioInference", "model": "sim:audio@1", "positivePrompt": "x", "duration": 10}
                    self.assertTrue((await run(audio))[0]["audioURL"])
                    upscale = {"taskType": "upscale", "model": "sim:image@1", "inputImage": "https://x.invalid/a.png"}
                    self.assertTrue((await run(upscale))[0]["imageUUID"])

    async def test_the_other_kinds_of_task(self):
        url, video = "https://x.invalid/a.png", {"video": "https://x.invalid/a.mp4"}
        # Each with a field of its result.
        tasks = [
            ("caption", {"inputImage": url}, "text"),
            ("controlNetPreprocess", {"inputImage": url, "preProcessorType": "canny"}, "guideImageURL"),
            ("imageMasking", {"inputImage": url}, "imageURL"),
            ("vectorize", {"inputs": {"image": url}}, "imageURL"),
            ("removeBackground", {"inputImage": url}, "imageURL"),
            ("removeBackground", {"inputs": video}, "videoURL"),
            ("upscale", {"inputs": video, "upscaleFactor": 2}, "videoURL"),
            ("3dInference", {"positivePrompt": "a fox"}, "outputs"),
            ("training", {"inputs": {"dataset": url}}, "outputs"),
        ]
        for transport in ("rest", "websocket"):
            client = self.client(transport)
            for kind, more, field in tasks:
                with self.subTest(transport=transport, kind=kind):
                    # Asynchronously the package waits seconds between its questions.
                    task = {"taskType": kind, "model": "sim:image@1", "deliveryMethod": "sync", **more}
                    (result,) = await asyncio.wait_for(client.run(task), 20)
                    self.assertTrue(result[field])
            enhanced = {"taskType": "promptEnhance", "prompt": "a fox", "promptMaxLength": 64, "promptVersions": 2, "deliveryMethod": "sync"}
            # The package itself looks for as many results as `numberResults` says, here one.
            self.assertTrue((await asyncio.wait_for(client.run(enhanced), 20))[0]["text"])
            (found,) = await client.model_search({"search": "fox"})
            self.assertEqual(found["totalResults"], 0)
            (stored,) = await client.media_storage({"operation": "upload", "media": url})
            self.assertTrue(stored["mediaUUID"])
            (uploaded,) = await client.image_upload({"image": url})
            self.assertTrue(uploaded["imageUUID"])
            (added,) = await client.model_upload({"air": "a:1@1", "name": "n", "category": "lora"})
            self.assertTrue(added["air"])
            (made,) = await client.run(image(deliveryMethod="sync"))
            (details,) = await client.get_task_details({"taskUUID": made["taskUUID"]})
            self.assertEqual(details["request"][0]["taskUUID"], made["taskUUID"])
            (state,) = await client.get_response({"taskUUID": made["taskUUID"]})
            self.assertEqual((state["status"], state["imageUUID"]), ("success", made["imageUUID"]))
            await client.close()

    async def test_text_streams(self):
        stream = await self.client("rest").stream(TEXT)
        pieces = [piece async for piece in stream.text_stream]
        self.assertGreater(len(pieces), 3)

    async def refused(self, client, task):
        with self.assertRaises(RunwareError) as caught:
            await asyncio.wait_for(client.run(task), 20)
        return caught.exception

    async def test_errors(self):
        for transport in ("rest", "websocket"):
            with self.subTest(transport):
                stranger = self.client(transport, key="wrong-key-of-nobody")
                self.assertEqual((await self.refused(stranger, image())).code, "auth")
                client = self.client(transport)
                unknown = await self.refused(client, image("sim:nothing@1"))
                self.assertEqual((unknown.code, unknown.task_uuid is not None), ("validation", True))
                self.assertEqual((await self.refused(client, image(steps=-1, deliveryMethod="sync"))).code, "validation")
                gone = await self.refused(client, image("sim:gone@1", deliveryMethod="sync"))
                self.assertIn(gone.code, ("serverError", "timeout"))
                slow = await self.refused(client, image("sim:hang@1", deliveryMethod="sync"))
                self.assertEqual(slow.code, "timeout")
                # One in its slot, then one in the queue.
                hanging = []
                for metric in (IN_FLIGHT, QUEUED):
                    hanging.append(asyncio.ensure_future(client.run(image("sim:full@1", deliveryMethod="sync"))))
                    await self.near.came("sim:full@1", 1, metric)
                full = await self.refused(client, image("sim:full@1", deliveryMethod="sync"))
                self.assertEqual(full.code, "rateLimit")
                for task in hanging:
                    task.cancel()
                await asyncio.gather(*hanging, return_exceptions=True)
                await client.close()

    async def test_each_status_says_what_to_do(self):
        self.near.order("models/sim:paused@1", action="pause")
        for transport in ("rest", "websocket"):
            with self.subTest(transport):
                client = self.client(transport)

                async def expect(task, code, status, parameter, says, client=client):
                    error = await self.refused(client, {"deliveryMethod": "sync", **task})
                    # Only over REST there is a status.
                    told = (error.code, error.status_code, error.parameter or None)
                    self.assertEqual(told, (code, status if transport == "rest" else None, parameter))
                    self.assertRegex(error.message, says)

                stranger = self.client(transport, key="wrong-key-of-nobody")
                # Over the socket the package itself drops what is at fault.
                at_fault = "apiKey" if transport == "rest" else None
                await expect(image(), "auth", 401, at_fault, "API key", client=stranger)
                await expect(image(steps=-1), "validation", 400, "steps", "must be")
                await expect(image("sim:hang@1"), "timeout", 504, None, "ask for less")
                waiting = asyncio.ensure_future(self.refused(client, image("sim:paused@1", deliveryMethod="sync")))
                await self.near.came("sim:paused@1", 1, QUEUED)
                await expect(image("sim:paused@1"), "rateLimit", 429, None, "full; retry in")
                late = await waiting
                self.assertEqual((late.code, late.retryable), ("timeout", True))
                self.assertRegex(late.message, "without being dispatched; retry in")
        # One under way holds the drain open.
        rest, socket = self.client("rest"), self.client("websocket")
        under_way = asyncio.ensure_future(rest.run(image("sim:slow@1", numberResults=4, deliveryMethod="sync")))
        await asyncio.wait_for(socket.run(image(deliveryMethod="sync")), 20)
        await self.near.came("sim:slow@1")
        self.near.order("drain")
        error = await self.refused(rest, image(deliveryMethod="sync"))
        self.assertEqual((error.code, error.status_code, error.retryable), ("serverError", 503, True))
        self.assertRegex(error.message, "retry in")
        self.assertEqual(len(await under_way), 4)

    async def test_its_own_retry_gets_through(self):
        self.near.order("models/sim:paused@1", action="pause")
        client = Runware(api_key=KEY, transport="rest", http_base_url=self.near.url, max_retries=4)
        self.addAsyncCleanup(client.close)
        task = image("sim:paused@1", deliveryMethod="sync")
        first = asyncio.ensure_future(client.run(task))
        await self.near.came("sim:paused@1", 1, QUEUED)
        second = asyncio.ensure_future(client.run(task))
        await self.near.came("sim:paused@1", 1, "fairflow_rejected_total")
        self.near.order("models/sim:paused@1", action="resume")
        (one,), (other,) = await asyncio.wait_for(asyncio.gather(first, second), 30)
        self.assertNotEqual(one["imageUUID"], other["imageUUID"])

    async def test_a_session_is_resumed(self):
        async with Cable(self.near.url) as cable:
            client = self.client("websocket", socket=cable.url)
            # What it has sent to be answered at once it gives up itself when the connection drops.
            tasks = [asyncio.ensure_future(client.run(image("sim:slow@1"))) for _ in range(4)]
            await self.far.came("slow-image", 4)
            cable.cut()
            answers = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            self.assertEqual(len({images[0]["imageUUID"] for images in answers}), 4)
            self.assertEqual(cable.connections, 2)
            # Each was scheduled and done once, so it was charged once.
            self.assertEqual((self.near.counted("sim:slow@1"), self.far.counted("slow-image")), (4, 4))

    async def test_a_drain_under_load_loses_nothing_in_silence(self):
        for transport in ("rest", "websocket"):
            with self.subTest(transport):
                client = self.client(transport)
                run = lambda: client.run(image("sim:slow@1", deliveryMethod="sync"))
                for error in await sent_away_in_a_drain(self, self.near, run):
                    self.assertIsInstance(error, RunwareError)
                    self.assertEqual(error.code, "serverError", error)
                if transport == "rest":
                    self.near.stop()
                    self.near = in_front_of(self.far)
                    self.addCleanup(self.near.stop)

    async def test_a_drain_finishes_what_is_under_way(self):
        client = self.client("websocket")
        tasks = [asyncio.ensure_future(client.run(image("sim:slow@1", deliveryMethod="sync"))) for _ in range(4)]
        await self.near.came("sim:slow@1", 4)
        self.near.process.terminate()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        self.assertTrue(all(images[0]["imageURL"] for images in answers))
        self.assertEqual(await asyncio.to_thread(self.near.process.wait, 10), 0)


if __name__ == "__main__":
    unittest.main()
