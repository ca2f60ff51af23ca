"""The `runware` package, over its WebSocket, against a gateway whose provider is another gateway."""

import asyncio
import tempfile
import unittest

from runware import (
    I3dInference,
    IAudioInference,
    IImageBackgroundRemoval,
    IImageCaption,
    IImageInference,
    IImageUpscale,
    IModelSearch,
    IPhotoMaker,
    IPromptEnhance,
    ITextInference,
    ITraining,
    IUploadModelLora,
    IVectorize,
    IVideoBackgroundRemoval,
    IVideoCaption,
    IVideoInference,
    IVideoUpscale,
    Runware,
)
from runware import utils
from runware.types import (
    IAsyncTaskResponse,
    IInputs,
    ITextInferenceMessage,
    IVideoBackgroundRemovalInputs,
    IVideoCaptionInputs,
    IVideoUpscaleInputs,
)

from gateway import IN_FLIGHT, KEY, QUEUED, Cable, in_a_row, sent_away_in_a_drain


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
        client = Runware(api_key=key, url=url or self.url, timeout=30_000)
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

    async def test_the_other_kinds_of_task(self):
        client = await self.connect()
        results = lambda call: self.results(client, call)
        url, video = "https://x.invalid/a.png", "https://x.invalid/a.mp4"
        made = await results(client.photoMaker(IPhotoMaker(
            model="sim:image@1", positivePrompt="a fox", width=512, height=512, numberResults=2, inputImages=[url])))
        self.assertEqual(len({image.imageUUID for image in made}), 2)
        (vector,) = await results(client.imageVectorize(IVectorize(model="sim:image@1", inputs=IInputs(image=url))))
        self.assertTrue(vector.imageURL)
        caption = await client.imageCaption(IImageCaption(inputImage=url, model="sim:image@1"))
        self.assertTrue(caption.text)
        enhanced = await client.promptEnhance(IPromptEnhance(promptMaxLength=64, promptVersions=3, prompt="a fox"))
        self.assertEqual([bool(one.text) for one in enhanced], [True] * 3)
        described = IVideoCaption(model="sim:video@1", inputs=IVideoCaptionInputs(video=video))
        self.assertTrue((await results(client.videoCaption(described)))[0].text)
        cut_out = IVideoBackgroundRemoval(model="sim:video@1", inputs=IVideoBackgroundRemovalInputs(video=video))
        self.assertTrue((await results(client.videoBackgroundRemoval(cut_out)))[0].videoURL)
        larger = IVideoUpscale(model="sim:video@1", inputs=IVideoUpscaleInputs(video=video), upscaleFactor=2)
        self.assertTrue((await results(client.videoUpscale(larger)))[0].videoURL)
        solid = await results(client.inference3d(I3dInference(model="sim:image@1", positivePrompt="a fox")))
        self.assertTrue(solid[0].outputs)
        trained = await results(client.training(ITraining(
            model="sim:image@1", importModel={"air": "a:1@1", "name": "n", "uniqueIdentifier": "u", "version": "1", "private": True},
            inputs={"dataset": url})))
        self.assertTrue(trained)

    async def results(self, client, call):
        return await self.result(client, await asyncio.wait_for(call, 30))

    async def test_what_names_no_model(self):
        client = await self.connect()
        stored = await client.uploadMedia("https://x.invalid/a.png")
        self.assertTrue(stored.mediaUUID)
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(b"PNG")
            file.flush()
            self.assertTrue((await client.uploadImage(file.name)).imageUUID)
        self.assertEqual((await client.modelSearch(IModelSearch(search="fox"))).totalResults, 0)
        uploaded = await client.modelUpload(IUploadModelLora(
            air="a:1@1", architecture="flux1d", name="n", downloadURL="https://x.invalid/m", uniqueIdentifier="u", version="1",
            format="safetensors", private=True))
        self.assertTrue(uploaded)
        (image_made,) = await client.imageInference(requestImage=image())
        details = await client.getTaskDetails(taskUUID=image_made.taskUUID)
        self.assertEqual((details.taskUUID, details.request[0]["taskUUID"]), (image_made.taskUUID, image_made.taskUUID))

    async def test_texts(self):
        client = await self.connect()
        for delivery in ("sync", "async"):
            answers = await self.results(client, client.textInference(text(deliveryMethod=delivery, numberResults=1)))
            self.assertTrue(answers[0].text, delivery)

    async def test_asynchronous_images_are_asked_for(self):
        client = await self.connect()
        acknowledged = await client.imageInference(requestImage=image(numberResults=2, deliveryMethod="async"))
        images = await asyncio.wait_for(client.getResponse(taskUUID=acknowledged.taskUUID, numberResults=2), 20)
        self.assertEqual(len(images), 2)

    async def test_many_at_once(self):
        client = await self.connect()
        all_images = await asyncio.gather(*(client.imageInference(requestImage=image()) for _ in range(40)))
        self.assertEqual(len({images[0].imageUUID for images in all_images}), 40)

    async def test_what_it_sends_and_reads_is_deflated(self):
        client = await self.connect()
        # Every connection of the package offers permessage-deflate.
        self.assertEqual([extension.name for extension in client._ws.protocol.extensions], ["permessage-deflate"])
        long = ITextInferenceMessage(role="user", content="Tell me of foxes at dawn. " * 20_000)
        request = ITextInference(model="sim:text@1", messages=[long], settings={"maxTokens": 500})
        (answer,) = await self.results(client, client.textInference(request))
        self.assertGreater(len(answer.text), 1024)

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
        for metric in (IN_FLIGHT, QUEUED):
            hanging.append(asyncio.ensure_future(client.imageInference(requestImage=image("sim:full@1"))))
            await self.near.came("sim:full@1", 1, metric)
        self.assertRegex(await self.refused(client, "sim:full@1"), "full")
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    async def test_a_connection_that_drops_loses_nothing(self):
        async with Cable(self.near.url) as cable:
            client = await self.connect(url=cable.url)
            tasks = [asyncio.ensure_future(client.imageInference(requestImage=image("sim:slow@1"))) for _ in range(4)]
            await self.far.came("slow-image", 4)
            cable.cut()
            answers = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            self.assertEqual(len({images[0].imageUUID for images in answers}), 4)
            # Where it is cut early the package connects once more than it needs.
            self.assertGreaterEqual(cable.connections, 2)
            # Each was scheduled and done once, so it was charged once.
            self.assertEqual((self.near.counted("sim:slow@1"), self.far.counted("slow-image")), (4, 4))

    async def test_each_status_says_what_to_do(self):
        client = await self.connect()
        self.near.order("models/sim:paused@1", action="pause")

        async def expect(model, code, says, **more):
            with self.assertRaises(Exception) as caught:
                await asyncio.wait_for(client.imageInference(requestImage=image(model, **more)), 20)
            self.assertIsInstance(caught.exception, utils.RunwareAPIError)
            told = caught.exception.error_data
            self.assertEqual((caught.exception.code, bool(told["taskUUID"])), (code, True))
            self.assertRegex(told["message"], says)
            return told

        await expect("sim:image@1", "invalidParameter", "steps.*must be", steps=-1)
        late = await expect("sim:hang@1", "providerTimeout", "ask for less")
        self.assertEqual((late["status"], "retryAfter" in late), (504, False))
        waiting = asyncio.ensure_future(expect("sim:paused@1", "queueTimeout", "without being dispatched; retry in"))
        await self.near.came("sim:paused@1", 1, QUEUED)
        full = await expect("sim:paused@1", "rateLimitExceeded", "full; retry in")
        self.assertEqual((full["status"], full["retryAfter"] >= 1), (429, True))
        self.assertEqual((await waiting)["status"], 504)
        under_way = asyncio.ensure_future(client.imageInference(requestImage=image("sim:slow@1", numberResults=4)))
        await self.near.came("sim:slow@1")
        self.near.order("drain")
        sent_away = await expect("sim:image@1", "serviceUnavailable", "retry in")
        self.assertEqual((sent_away["status"], sent_away["retryAfter"] >= 1), (503, True))
        self.assertEqual(len(await under_way), 4)

    async def test_a_drain_under_load_loses_nothing_in_silence(self):
        client = await self.connect()
        run = lambda: client.imageInference(requestImage=image("sim:slow@1"))
        for error in await sent_away_in_a_drain(self, self.near, run):
            self.assertEqual(getattr(error, "code", None), "serviceUnavailable", repr(error))

    async def test_a_drain_finishes_what_is_under_way(self):
        client = await self.connect()
        tasks = [asyncio.ensure_future(client.imageInference(requestImage=image("sim:slow@1"))) for _ in range(4)]
        await self.near.came("sim:slow@1", 4)
        self.near.process.terminate()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        self.assertTrue(all(images[0].imageURL for images in answers))
        self.assertEqual(await asyncio.to_thread(self.near.process.wait, 10), 0)


if __name__ == "__main__":
    unittest.main()
