"""Starts and stops gateways for the SDK tests, each on ports of its own."""

import asyncio
import http.server
import json
import operator
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BINARY = ROOT / "target" / "debug" / "fairflow"


IN_FLIGHT, QUEUED = "fairflow_in_flight", "fairflow_queue_depth"


class Gateway:
    """A gateway process. Its configuration names no address: it listens where there is room."""

    def __init__(self, config=""):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        server = '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
        self.file.write(config.replace("[server]\n", server) if "[server]\n" in config else server + config)
        self.file.flush()
        arguments = ["--config", self.file.name] if config else ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        self.process = subprocess.Popen([BINARY, "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[1]
        self.admin = self.process.stdout.readline().split()[1]

    def order(self, path, **what):
        """Posts to the admin port: `order("drain")`, `order("models/NAME", action="pause")`."""
        with urllib.request.urlopen(f"{self.admin}admin/{path}", json.dumps(what).encode(), 10) as answer:
            return json.load(answer)

    def counted(self, model, metric="fairflow_requests_total", **labels):
        """Returns a metric of a model, the number of its requests without one; the sum over all other labels."""
        with urllib.request.urlopen(f"{self.admin}metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{name}="{value}"' for name, value in {"model": model, **labels}.items()]
        found = [line for line in lines if line.startswith(metric + "{") and all(label in line for label in wanted)]
        return int(sum(float(line.split()[-1]) for line in found))

    def until(self, model, count=1, metric=IN_FLIGHT, reached=operator.ge, **labels):
        """Waits until a metric of a model reaches a count, by default until one request is in flight."""
        end = time.monotonic() + 20
        while not reached(now := self.counted(model, metric, **labels), count):
            if time.monotonic() > end:
                raise TimeoutError(f"{metric} of {model} is {now} after 20 s, not {count}")
            time.sleep(0.02)

    async def came(self, *what, **more):
        """Waits as `until` does, while calls go on."""
        await asyncio.to_thread(self.until, *what, **more)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.file.close()


SIM = (HERE / "far.toml").read_text()

KEY = "a-key-of-acme"


def hash_of(key):
    return subprocess.run([BINARY, "hash-key"], input=key, capture_output=True, text=True, check=True).stdout.strip().strip('"')


def in_a_row(more=""):
    """Starts a gateway that simulates, and one in front of it, whose configuration may have more."""
    far = Gateway(SIM)
    return far, in_front_of(far, more)


def in_front_of(far, more=""):
    return Gateway((HERE / "near.toml").read_text().replace("URL", far.url).replace("HASH", hash_of(KEY)) + more)


async def sent_away_in_a_drain(test, near, run):
    """Ends a gateway with 80 calls under way, for which its five seconds do not suffice; returns the errors of the rest."""
    tasks = [asyncio.ensure_future(asyncio.wait_for(run(), 30)) for _ in range(80)]
    # One of the packages sends only a few at a time.
    await near.came("sim:slow@1", 4)
    near.process.terminate()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    # The four were under way. How many of the rest had come before the end depends on how fast they were sent.
    test.assertTrue(0 < len(refused) <= 76, len(refused))
    test.assertEqual(await asyncio.to_thread(near.process.wait, 10), 0)
    return refused


class Studio:
    """A provider in Runware's form whose videos can be fetched; one of prompt "endless" is never done."""

    FILM = b"a film of foxes"

    def __init__(self):
        studio = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, kind, body):
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                studio.fetched_with = self.headers.get("authorization")
                self.answer("video/mp4", studio.FILM)

            def do_POST(self):
                (task,) = json.loads(self.rfile.read(int(self.headers["content-length"])))
                item = {"taskType": "videoInference", "taskUUID": task["taskUUID"]}
                if task["taskType"] == "getResponse":
                    film = {"status": "success", "videoUUID": task["taskUUID"], "videoURL": studio.url + "/film.mp4"}
                    item.update({"status": "processing"} if task["taskUUID"] in studio.endless else film)
                elif task["positivePrompt"] == "endless":
                    studio.endless.add(task["taskUUID"])
                self.answer("application/json", json.dumps({"data": [item]}).encode())

        self.endless = set()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Cable:
    """A connection to a gateway that can be cut."""

    def __init__(self, url):
        self.host, self.port = url.split("/")[2].split(":")
        self.writers = []
        self.connections = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_):
        self.cut()
        self.server.close()

    async def connected(self, reader, writer):
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        self.writers += [writer, far_writer]

        async def carry(source, sink):
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            except ConnectionError:
                pass
            finally:
                sink.close()

        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers = []
