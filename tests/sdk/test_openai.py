"""The `openai` package against a gateway whose providers are themselves reached over HTTP.

Two gateways stand in a row. The far one simulates generation; the near one, which the SDK talks to, reaches it once as
an `openai` and once as a `runware` provider, so that every answer has crossed both dialects' adapters.
"""

import base64
import concurrent.futures
import io
import struct
import time
import unittest

import openai

from gateway import KEY, QUEUED, SIM, Gateway, Studio, hash_of

NEAR = """
[server]
auth = "keys"
drain_timeout = "1500ms"
[providers.oai]
kind = "openai"
base_url = "{url}"
[providers.rw]
kind = "runware"
base_url = "{url}"
[providers.gone]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
[models.chat-oai]
routes = [{{ provider = "oai", model = "sim-text" }}]
[models.chat-rw]
routes = [{{ provider = "rw", model = "sim-text" }}]
[models.image-oai]
routes = [{{ provider = "oai", model = "sim-image" }}]
[models.image-rw]
routes = [{{ provider = "rw", model = "sim-image" }}]
[models.embed]
routes = [{{ provider = "oai", model = "sim-embedding" }}]
[models.embed-rw]
routes = [{{ provider = "rw", model = "sim-embedding" }}]
[models.chat-both]
routes = [{{ provider = "oai", model = "sim-text" }}]
[models.video]
routes = [{{ provider = "rw", model = "sim-video" }}]
[models.lost]
routes = [{{ provider = "oai", model = "no-such-model" }}]
[models.gone]
routes = [{{ provider = "gone" }}]
queue = {{ max_wait = "1s" }}
retry = {{ max_attempts = 2, base = "50ms", max = "100ms" }}
[models.full]
routes = [{{ provider = "oai", model = "sim-text" }}]
queue = {{ capacity = 1 }}
window = {{ min = 1, max = 1, initial = 1 }}
[providers.hang]
kind = "sim"
sim = {{ hang = 1.0 }}
[models.hang]
routes = [{{ provider = "hang" }}]
timeout = "300ms"
retry = {{ max_attempts = 1 }}
[models.paused]
routes = [{{ provider = "oai", model = "sim-text" }}]
queue = {{ capacity = 1 }}
[models.slow]
routes = [{{ provider = "oai", model = "slow-image" }}]
window = {{ min = 8, max = 8, initial = 8 }}
[tiers.some]
max_in_flight = 32
max_queued = 32
[tenants.acme]
tier = "some"
api_keys = ["{hash}"]
[tenants.beta]
api_keys = ["{beta}"]
[providers.studio]
kind = "runware"
base_url = "{studio}"
poll = {{ initial = "20ms", max = "50ms" }}
[models.film]
routes = [{{ provider = "studio" }}]
"""

BETA = "a-key-of-beta"

# One transparent pixel, PNG.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


class OpenAi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.far = Gateway(SIM)
        cls.addClassCleanup(cls.far.stop)
        cls.studio = Studio()
        cls.addClassCleanup(cls.studio.stop)
        config = NEAR.format(url=cls.far.url, hash=hash_of(KEY), beta=hash_of(BETA), studio=cls.studio.url)
        cls.near = Gateway(config)
        cls.addClassCleanup(cls.near.stop)
        cls.client = openai.OpenAI(base_url=cls.near.url, api_key=KEY, timeout=20, max_retries=0)

    def messages(self):
        return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me of foxes at dawn."}]

    def test_chat(self):
        for model in ("chat-oai", "chat-rw"):
            with self.subTest(model):
                raw = self.client.chat.completions.with_raw_response.create(
                    model=model, messages=self.messages(), max_tokens=12
                )
                answer = raw.parse()
                self.assertTrue(answer.choices[0].message.content)
                self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
                self.assertGreater(answer.usage.completion_tokens, 0)
                self.assertEqual(raw.headers["x-fairflow-attempts"], "1")
                self.assertTrue(raw.headers["x-request-id"])

    def test_chat_streamed(self):
        for model in ("chat-oai", "chat-rw"):
            with self.subTest(model):
                stream = self.client.chat.completions.create(
                    model=model,
                    messages=self.messages(),
                    max_tokens=12,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                text, reasons, usage = "", [], None
                for chunk in stream:
                    for choice in chunk.choices:
                        text += choice.delta.content or ""
                        reasons += [choice.finish_reason] if choice.finish_reason else []
                    usage = chunk.usage or usage
                self.assertTrue(text.strip())
                self.assertEqual(len(reasons), 1)
                self.assertGreater(usage.completion_tokens, 0)

    def test_chat_streamed_by_the_helper_that_puts_pieces_together(self):
        for model in ("chat-oai", "chat-rw"):
            with self.subTest(model):
                messages = self.messages()
                with self.client.chat.completions.stream(model=model, messages=messages) as stream:
                    whole = stream.get_final_completion()
                self.assertEqual(whole.choices[0].message.role, "assistant")
                self.assertTrue(whole.choices[0].message.content)

    def test_a_stream_left_half_way_frees_its_slot(self):
        for _ in range(8):
            with self.client.chat.completions.create(
                model="chat-oai", messages=self.messages(), max_tokens=500, stream=True
            ) as stream:
                next(iter(stream))
        # With a slot leaked each time, the window would be used up and this would never be served.
        self.assertTrue(self.client.chat.completions.create(model="chat-oai", messages=self.messages()).choices)

    def test_images(self):
        for model in ("image-oai", "image-rw"):
            with self.subTest(model):
                by_url = self.client.images.generate(model=model, prompt="a red fox", n=2, size="512x512")
                self.assertEqual(len(by_url.data), 2)
                self.assertTrue(all(image.url for image in by_url.data))

    def test_images_inline(self):
        for model in ("image-oai", "image-rw"):
            with self.subTest(model):
                inline = self.client.images.generate(
                    model=model, prompt="a red fox", size="512x512", response_format="b64_json"
                )
                self.assertTrue(inline.data[0].b64_json)

    def test_image_edits(self):
        pixel = base64.b64decode(PIXEL)
        for model in ("image-oai", "image-rw"):
            with self.subTest(model):
                one = self.client.images.edit(model=model, image=("fox.png", pixel, "image/png"), prompt="a hat", n=2)
                self.assertEqual(len(one.data), 2)
                several = self.client.images.edit(
                    model=model,
                    image=[io.BytesIO(pixel), ("b.png", pixel)],
                    mask=pixel,
                    prompt="a hat",
                    size="512x512",
                    response_format="b64_json",
                    extra_body={"steps": 4},
                )
                self.assertTrue(several.data[0].b64_json)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.images.edit(model="image-oai", image=pixel, prompt="x", size="huge")
        self.assertIn("size", str(caught.exception))
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.images.edit(model="image-rw", image=pixel, prompt="x", stream=True)
        self.assertIn("stream", str(caught.exception))
        with self.assertRaises(openai.NotFoundError):
            self.client.images.edit(model="nobody", image=pixel, prompt="x")

    def test_embeddings(self):
        # The SDK asks for base64 and decodes it; as floats it must be the same.
        packed = self.client.embeddings.create(model="embed", input=["one", "two"])
        plain = self.client.embeddings.create(model="embed", input=["one", "two"], encoding_format="float")
        self.assertEqual([item.index for item in packed.data], [0, 1])
        for a, b in zip(packed.data, plain.data):
            single = [struct.unpack("<f", struct.pack("<f", x))[0] for x in b.embedding]
            self.assertEqual(len(a.embedding), len(single))
            for x, y in zip(a.embedding, single):
                self.assertAlmostEqual(x, y, places=6)

    def test_responses(self):
        for model in ("chat-rw", "chat-both"):
            with self.subTest(model):
                answer = self.client.responses.create(model=model, input="Tell me of foxes.", max_output_tokens=12)
                self.assertEqual((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))
                self.assertTrue(answer.output_text)
                self.assertEqual(answer.usage.output_tokens, 12)
                events = list(self.client.responses.create(model=model, input="Tell me of foxes.", stream=True))
                self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
                self.assertEqual((events[0].type, events[-1].type), ("response.created", "response.completed"))
                text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
                self.assertEqual(text, events[-1].response.output_text)

    def test_responses_are_kept(self):
        stranger = self.client.with_options(api_key=BETA)
        for model in ("chat-rw", "chat-both"):
            for stream in (False, True):
                with self.subTest(model, stream=stream):
                    answer = self.client.responses.create(model=model, input="Tell me of foxes.", stream=stream)
                    if stream:
                        answer = list(answer)[-1].response
                    kept = self.client.responses.retrieve(answer.id)
                    self.assertEqual((kept.id, kept.output_text), (answer.id, answer.output_text))
                    # The simulated model counts what it reads: the second turn has read the first too.
                    more = self.client.responses.create(model=model, input="More.", previous_response_id=answer.id)
                    self.assertGreater(more.usage.input_tokens, answer.usage.input_tokens + 5)
                    self.assertEqual(more.previous_response_id, answer.id)
                    last = self.client.responses.create(model=model, input="More.", previous_response_id=more.id)
                    self.assertGreater(last.usage.input_tokens, more.usage.input_tokens + 5)
                    for call in (stranger.responses.retrieve, stranger.responses.delete):
                        with self.assertRaises(openai.NotFoundError):
                            call(answer.id)
                    self.client.responses.delete(answer.id)
                    with self.assertRaises(openai.NotFoundError):
                        self.client.responses.retrieve(answer.id)
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.responses.input_items.list(answer.id)
        self.assertIn("not offered", str(caught.exception))
        unkept = self.client.responses.create(model="chat-rw", input="x", store=False)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(unkept.id)
        # Another tenant's conversation is not continued.
        mine = self.client.responses.create(model="chat-rw", input="x")
        with self.assertRaises(openai.BadRequestError) as caught:
            stranger.responses.create(model="chat-rw", input="x", previous_response_id=mine.id)
        self.assertIn("previous_response_id", str(caught.exception))

    def test_videos(self):
        video = self.client.videos.create(model="video", prompt="a red fox", seconds="4", size="720x1280")
        self.assertIn(video.status, ("in_progress", "completed"))
        done = self.client.videos.poll(video.id)
        self.assertEqual((done.id, done.status, done.model, done.seconds), (video.id, "completed", "video", "4"))
        self.assertEqual(self.client.videos.download_content(done.id).read()[4:8], b"ftyp")
        plain = self.client.videos.create(model="video", prompt="a red fox")
        self.assertEqual((plain.seconds, plain.size), ("4", "720x1280"))
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.videos.remix(done.id, prompt="a blue fox")
        self.assertIn("not offered", str(caught.exception))
        with_image = self.client.videos.create(model="video", prompt="a fox", input_reference=("a.png", b"PNG", "image/png"))
        self.assertTrue(with_image.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.videos.retrieve("video_of_nobody")
        with self.assertRaises(openai.NotFoundError):
            self.client.videos.create(model="nobody", prompt="x")
        with self.assertRaises(openai.BadRequestError):
            self.client.videos.create(model="chat-rw", prompt="x", size="huge")

    def test_videos_are_fetched_where_the_provider_keeps_them(self):
        film = self.client.videos.create_and_poll(model="film", prompt="a red fox", poll_interval_ms=50)
        self.assertEqual(film.status, "completed")
        content = self.client.videos.download_content(film.id)
        self.assertEqual(content.read(), self.studio.FILM)
        self.assertIsNone(self.studio.fetched_with, "our key is not for them")
        endless = self.client.videos.create(model="film", prompt="endless")
        with self.assertRaises(openai.BadRequestError):
            self.client.videos.download_content(endless.id)
        self.client.videos.delete(endless.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.videos.retrieve(endless.id)

    def test_videos_are_listed_and_deleted_by_who_ordered_them(self):
        # Its own tenant, so that the other tests' videos are not in the way.
        client = self.client.with_options(api_key=BETA)
        ids = [client.videos.create(model="video", prompt=f"fox {n}").id for n in range(5)]
        self.assertEqual([video.id for video in client.videos.list()], ids[::-1])
        self.assertEqual([video.id for video in client.videos.list(order="asc", limit=2)], ids, "over three pages")
        page = client.videos.list(limit=2, after=ids[3])
        self.assertEqual(([video.id for video in page.data], page.has_more), ([ids[2], ids[1]], True))
        with self.assertRaises(openai.BadRequestError):
            client.videos.list(limit=1000)
        with self.assertRaises(openai.BadRequestError):
            client.videos.list(after="nothing")
        # Another tenant neither sees nor deletes them.
        self.assertFalse({video.id for video in self.client.videos.list()} & set(ids))
        for call in (self.client.videos.retrieve, self.client.videos.delete, self.client.videos.download_content):
            with self.assertRaises(openai.NotFoundError):
                call(ids[0])
        deleted = client.videos.delete(ids[0])
        self.assertEqual((deleted.id, deleted.deleted, deleted.object), (ids[0], True, "video.deleted"))
        with self.assertRaises(openai.NotFoundError):
            client.videos.delete(ids[0])
        self.assertEqual([video.id for video in client.videos.list()], ids[:0:-1])

    def test_limits_are_told(self):
        raw = self.client.chat.completions.with_raw_response.create(model="chat-rw", messages=self.messages())
        self.assertEqual(raw.headers["x-ratelimit-limit-requests"], "64")
        self.assertLessEqual(int(raw.headers["x-ratelimit-remaining-requests"]), 64)

    def test_models(self):
        self.assertIn("chat-rw", [model.id for model in self.client.models.list()])

    def test_what_a_provider_cannot_do_is_the_callers_error(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.embeddings.create(model="embed-rw", input="one")
        self.assertIn("embedding", str(caught.exception))

    def test_errors_as_the_sdk_knows_them(self):
        create = self.client.chat.completions.create
        with self.assertRaises(openai.NotFoundError) as caught:
            create(model="nobody", messages=self.messages())
        self.assertEqual(caught.exception.code, "model_not_found")
        self.assertEqual(caught.exception.response.headers["x-fairflow-reason"], "unknown_model")
        with self.assertRaises(openai.NotFoundError):
            create(model="lost", messages=self.messages())
        with self.assertRaises(openai.BadRequestError) as caught:
            create(model="chat-oai", messages="hello")
        self.assertEqual(caught.exception.param, "messages")
        stranger = self.client.with_options(api_key="wrong")
        with self.assertRaises(openai.AuthenticationError) as caught:
            stranger.chat.completions.create(model="chat-oai", messages=self.messages())
        self.assertEqual(caught.exception.code, "invalid_api_key")
        with self.assertRaises(openai.InternalServerError) as caught:
            create(model="gone", messages=self.messages())
        self.assertIn(caught.exception.status_code, (503, 504))
        self.assertIn("x-fairflow-reason", caught.exception.response.headers)

    def test_a_full_queue_is_a_rate_limit_error_that_says_when(self):
        def one(_):
            try:
                return self.client.chat.completions.create(model="full", messages=self.messages())
            except openai.RateLimitError as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(one, range(32)))
        refused = [answer for answer in answers if isinstance(answer, openai.RateLimitError)]
        self.assertTrue(refused)
        self.assertLess(len(refused), len(answers))
        for error in refused:
            self.assertGreaterEqual(int(error.response.headers["retry-after"]), 1)
            self.assertEqual(error.response.headers["x-fairflow-reason"], "queue_full")
            self.assertEqual((error.status_code, error.code), (429, "queue_full"))
            self.assertIn("retry in", str(error))

    def test_the_sdks_own_retries_get_through_a_full_queue(self):
        patient = self.client.with_options(max_retries=5)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            calls = pool.map(lambda _: patient.chat.completions.create(model="full", messages=self.messages()), range(4))
            self.assertEqual(len([answer for answer in calls if answer.choices]), 4)

    def refused(self, kind, status, code, client=None, **more):
        with self.assertRaises(kind) as caught:
            (client or self.client).chat.completions.create(messages=self.messages(), **more)
        error = caught.exception
        self.assertEqual((type(error), error.status_code, error.code), (kind, status, code))
        self.assertTrue(error.request_id)
        return error, error.response.headers

    def test_each_status_says_what_to_do(self):
        stranger = self.client.with_options(api_key="wrong")
        error, _ = self.refused(openai.AuthenticationError, 401, "invalid_api_key", stranger, model="chat-oai")
        self.assertIn("authorization: Bearer KEY", str(error))
        gold = {"x-fairflow-class": "gold"}
        error, _ = self.refused(openai.BadRequestError, 400, "invalid_request", model="chat-oai", extra_headers=gold)
        self.assertRegex(str(error), "x-fairflow-class.*must be interactive")
        for stream in (False, True):
            with self.subTest(stream=stream):
                error, headers = self.refused(
                    openai.InternalServerError, 504, "upstream_timeout", model="hang", stream=stream
                )
                self.assertIn("ask for less", str(error))
                self.assertNotIn("retry-after", headers)

    def test_what_waits_too_long_and_what_finds_it_full(self):
        self.near.order("models/paused", action="pause")
        self.addCleanup(self.near.order, "models/paused", action="resume")
        for stream in (False, True):
            with self.subTest(stream=stream):
                error, headers = self.refused(
                    openai.InternalServerError, 504, "queue_timeout", model="paused", stream=stream,
                    extra_headers={"x-fairflow-max-wait": "300"},
                )
                self.assertIn("retry in", str(error))
                self.assertGreaterEqual(int(headers["retry-after"]), 1)

    def test_the_sdks_own_retry_waits_as_long_as_it_is_told(self):
        self.near.order("models/paused", action="pause")
        self.addCleanup(self.near.order, "models/paused", action="resume")
        sent, told = [], []
        hooks = {"request": [lambda _: sent.append(time.monotonic())], "response": [lambda answer: told.append(answer.headers)]}
        with openai.DefaultHttpxClient(event_hooks=hooks) as http, concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(
                self.client.chat.completions.create,
                model="paused", messages=self.messages(), extra_headers={"x-fairflow-max-wait": "15000"},
            )
            self.near.until("paused", metric=QUEUED)
            patient = self.client.with_options(max_retries=1, http_client=http)
            self.refused(openai.RateLimitError, 429, "queue_full", patient, model="paused")
            self.near.order("models/paused", action="resume")
            self.assertTrue(waiting.result().choices)
        self.assertEqual(len(sent), 2)
        wait = int(told[0]["retry-after-ms"]) / 1000
        # By itself it would wait half a second at most.
        self.assertGreater(wait, 0.6)
        self.assertGreaterEqual(sent[1] - sent[0], wait)


class Drain(unittest.TestCase):
    def setUp(self):
        self.far = Gateway(SIM)
        self.addCleanup(self.far.stop)
        nowhere = "http://127.0.0.1:9"
        self.near = Gateway(NEAR.format(url=self.far.url, hash=hash_of(KEY), beta=hash_of(BETA), studio=nowhere))
        self.addCleanup(self.near.stop)
        self.client = openai.OpenAI(base_url=self.near.url, api_key=BETA, timeout=20, max_retries=0)

    def image(self, _=None):
        try:
            return self.client.images.generate(model="slow", prompt="a red fox")
        except openai.OpenAIError as error:
            return error

    def test_what_comes_in_a_drain_is_told_to_come_back(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            under_way = pool.submit(self.image)
            self.near.until("slow")
            self.near.order("drain")
            error = self.image()
            self.assertIsInstance(error, openai.InternalServerError)
            self.assertEqual((error.status_code, error.code), (503, "no_capacity"))
            self.assertIn("retry in", str(error))
            self.assertGreaterEqual(int(error.response.headers["retry-after"]), 1)
            self.assertTrue(under_way.result().data)

    def test_a_drain_under_load_loses_nothing_in_silence(self):
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            answers = pool.map(self.image, range(40))
            self.near.until("slow", 24, QUEUED)
            self.near.process.terminate()
            answers = list(answers)
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        # The eight that run when its time is up are finished too; those that wait are sent away.
        self.assertGreaterEqual(len(answers) - len(refused), 16)
        self.assertTrue(refused)
        for error in refused:
            self.assertIsInstance(error, openai.InternalServerError)
            self.assertEqual((error.status_code, error.code), (503, "no_capacity"))
        self.assertEqual(self.near.process.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
