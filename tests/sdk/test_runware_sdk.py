"""The newer `runware-sdk` package, over REST and over the WebSocket, against a gateway behind which is another."""

import asyncio
import unittest

from runware import Runware
from runware.errors import RunwareError

from gateway import KEY, Cable, in_a_row


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
                for _ in range(2):
                    hanging.append(asyncio.ensure_future(client.run(image("sim:full@1", deliveryMethod="sync"))))
                    await asyncio.sleep(0.3)
                full = await self.refused(client, image("sim:full@1", deliveryMethod="sync"))
                self.assertEqual(full.code, "rateLimit")
                for task in hanging:
                    task.cancel()
                await asyncio.gather(*hanging, return_exceptions=True)
                await client.close()

    async def test_a_session_is_resumed(self):
        async with Cable(self.near.url) as cable:
            client = self.client("websocket", socket=cable.url)
            # What it has sent to be answered at once it gives up itself when the connection drops.
            tasks = [asyncio.ensure_future(client.run(image("sim:slow@1"))) for _ in range(4)]
            await asyncio.sleep(0.5)
            cable.cut()
            answers = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            self.assertEqual(len({images[0]["imageUUID"] for images in answers}), 4)

    async def test_a_drain_finishes_what_is_under_way(self):
        client = self.client("websocket")
        tasks = [asyncio.ensure_future(client.run(image("sim:slow@1", deliveryMethod="sync"))) for _ in range(4)]
        await asyncio.sleep(0.5)
        self.near.process.terminate()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        self.assertTrue(all(images[0]["imageURL"] for images in answers))
        self.assertEqual(await asyncio.to_thread(self.near.process.wait, 10), 0)


if __name__ == "__main__":
    unittest.main()
