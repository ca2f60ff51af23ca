"""The `runware` package, over its WebSocket, against a gateway whose provider is another gateway."""

import asyncio
import unittest

from runware import (
    IAudioInference,
    IImageBackgroundRemoval,
    IImageInference,
    IImageUpscale,
    ITextInference,
    IVideoInference,
    Runware,
)
from runware import utils
from runware.types import IAsyncTaskResponse, ITextInferenceMessage

from gateway import KEY, Cable, in_a_row


def text(model="sim:text@1", **more):
    return ITextInference(model=model, messages=[ITextInferenceMessage(role="user", content="Tell me of foxes.")], **more)


def image(model="sim:image@1", **more):
    return IImageInference(model=model, positivePrompt="a red fox", width=512, height=512, **more)


class Sdk(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.far, self.near = in_a_row()
        self.addCleanup(self.far.stop)
        self.addCleanup(self.near.stop)
        self.url = self.near.url.replace("http", "ws", 1)

    async def connect(self, key=KEY, url=None):
        client = Runware(api_key=key, url=url or self.url, timeout=30)
        await asyncio.wait_for(client.connect(), 10)
        self.addAsyncCleanup(client.disconnect)
        return client

    async def result(self, client, answer):
        """Asks for what was only acknowledged."""
        if isinstance(answer, IAsyncTaskResponse):
            answer = await asyncio.wait_for(client.getResponse(taskUUID=answer.taskUUID), 20)
        return answer

    async def test_every_kind_of_task(self):
        client = await self.connect()
        images = await client.imageInference(requestImage=image(numberResults=2, includeCost=True))
        self.assertEqual(len({i.imageUUID for i in images}), 2)
        self.assertTrue(all(i.imageURL and i.cost for i in images))
        inline = await client.imageInference(requestImage=image(outputType="base64Data"))
        self.assertTrue(inline[0].imageBase64Data)
        answers = await client.textInference(text(includeUsage=True))
        self.assertTrue(answers[0].text)
        video = IVideoInference(model="sim:video@1", positivePrompt="a fox runs", duration=5, width=640, height=360)
        videos = await self.result(client, await client.videoInference(video))
        self.assertTrue(videos[0].videoUUID and videos[0].videoURL)
        for delivery in ("sync", "async"):
            audio = IAudioInference(model="sim:audio@1", positivePrompt="rain", duration=10, deliveryMethod=delivery)
            audios = await self.result(client, await client.audioInference(audio))
            self.assertTrue(audios[0].audioUUID and audios[0].audioURL)
        upscaled = await client.imageUpscale(IImageUpscale(inputImage="https://x.invalid/a.png", upscaleFactor=2))
        self.assertTrue(upscaled[0].imageUUID)
        removed = await client.imageBackgroundRemoval(
            IImageBackgroundRemoval(inputImage="https://x.invalid/a.png", model="sim:image@1")
        )
        self.assertTrue(removed)

    async def test_asynchronous_images_are_asked_for(self):
        client = await self.connect()
        acknowledged = await client.imageInference(requestImage=image(numberResults=2, deliveryMethod="async"))
        images = await asyncio.wait_for(client.getResponse(taskUUID=acknowledged.taskUUID, numberResults=2), 20)
        self.assertEqual(len(images), 2)

    async def test_many_at_once(self):
        client = await self.connect()
        all_images = await asyncio.gather(*(client.imageInference(requestImage=image()) for _ in range(40)))
        self.assertEqual(len({images[0].imageUUID for images in all_images}), 40)

    async def test_text_streams_over_http(self):
        # The package takes the HTTP address from a table of its own.
        utils._WS_TO_HTTP[self.url] = self.near.url.removesuffix("/v1")
        client = await self.connect()
        stream = await client.textInference(text(deliveryMethod="stream"))
        pieces = [piece async for piece in stream]
        self.assertGreater(len(pieces), 3)
        self.assertIn("simulated", "".join(piece for piece in pieces if isinstance(piece, str)))

    async def refused(self, client, model, **more):
        with self.assertRaises(Exception) as caught:
            await asyncio.wait_for(client.imageInference(requestImage=image(model, **more)), 20)
        return str(caught.exception)

    async def test_errors(self):
        stranger = await self.connect(key="wrong-key-of-nobody")
        self.assertRegex(await self.refused(stranger, "sim:image@1"), "(?i)api key")
        client = await self.connect()
        self.assertIn("not configured", await self.refused(client, "sim:nothing@1"))
        self.assertRegex(await self.refused(client, "sim:image@1", steps=-1), "steps")
        self.assertRegex(await self.refused(client, "sim:gone@1"), "failed|without being|no provider")
        self.assertRegex(await self.refused(client, "sim:hang@1"), "did not answer|not known")
        # One in its slot, then one in the queue: at once, the second may come before the first has left the queue.
        hanging = []
        for _ in range(2):
            hanging.append(asyncio.ensure_future(client.imageInference(requestImage=image("sim:full@1"))))
            await asyncio.sleep(0.3)
        self.assertRegex(await self.refused(client, "sim:full@1"), "full")
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    async def test_a_connection_that_drops_loses_nothing(self):
        async with Cable(self.near.url) as cable:
            client = await self.connect(url=cable.url)
            tasks = [asyncio.ensure_future(client.imageInference(requestImage=image("sim:slow@1"))) for _ in range(4)]
            await asyncio.sleep(0.4)
            cable.cut()
            answers = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            self.assertEqual(len({images[0].imageUUID for images in answers}), 4)

    async def test_a_drain_finishes_what_is_under_way(self):
        client = await self.connect()
        tasks = [asyncio.ensure_future(client.imageInference(requestImage=image("sim:slow@1"))) for _ in range(4)]
        await asyncio.sleep(0.4)
        self.near.process.terminate()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        self.assertTrue(all(images[0].imageURL for images in answers))
        self.assertEqual(await asyncio.to_thread(self.near.process.wait, 10), 0)


if __name__ == "__main__":
    unittest.main()
