"""Starts and stops gateways for the SDK tests, each on ports of its own."""

import asyncio
import pathlib
import signal
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "debug" / "fairflow"


class Gateway:
    """A gateway process. Its configuration names no address: it listens where there is room."""

    def __init__(self, config=""):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        server = '[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
        self.file.write(config.replace("[server]\n", server) if "[server]" in config else server + config)
        self.file.flush()
        arguments = ["--config", self.file.name] if config else ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        self.process = subprocess.Popen([BINARY, "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[1]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.file.close()


# Fast and sure, so that a test waits for the gateway and not for the simulation.
SIM = """
[providers.sim]
kind = "sim"
sim = { service = "20ms" }
[models.sim-text]
routes = [{ provider = "sim" }]
[models.sim-image]
routes = [{ provider = "sim" }]
[models.sim-embedding]
routes = [{ provider = "sim" }]
[models.sim-video]
routes = [{ provider = "sim" }]
[models.sim-audio]
routes = [{ provider = "sim" }]
[models.tasks]
routes = [{ provider = "sim" }]
[providers.slow]
kind = "sim"
sim = { service = "1s", sigma = 0.0 }
[models.slow-image]
routes = [{ provider = "slow" }]
"""

KEY = "a-key-of-acme"

# A gateway whose provider is another gateway, which simulates.
RUNWARE = """
[server]
auth = "keys"
[providers.rw]
kind = "runware"
base_url = "{url}"
poll = {{ initial = "20ms", max = "50ms" }}
[providers.gone]
kind = "runware"
base_url = "http://127.0.0.1:9/v1"
[providers.hang]
kind = "sim"
sim = {{ hang = 1.0 }}
[models."sim:text@1"]
routes = [{{ provider = "rw", model = "sim-text" }}]
[models."sim:image@1"]
routes = [{{ provider = "rw", model = "sim-image" }}]
[models."sim:slow@1"]
routes = [{{ provider = "rw", model = "slow-image" }}]
[models."sim:video@1"]
routes = [{{ provider = "rw", model = "sim-video" }}]
[models."sim:audio@1"]
routes = [{{ provider = "rw", model = "sim-audio" }}]
[models."sim:gone@1"]
routes = [{{ provider = "gone" }}]
queue = {{ max_wait = "1s" }}
retry = {{ max_attempts = 2, base = "50ms", max = "100ms" }}
[models."sim:full@1"]
routes = [{{ provider = "hang" }}]
queue = {{ capacity = 1 }}
window = {{ min = 1, max = 1, initial = 1 }}
[models."sim:hang@1"]
routes = [{{ provider = "hang" }}]
timeout = "300ms"
retry = {{ max_attempts = 1 }}
[models.tasks]
routes = [{{ provider = "rw" }}]
[tenants.acme]
api_keys = ["{hash}"]
"""


def hash_of(key):
    return subprocess.run([BINARY, "hash-key"], input=key, capture_output=True, text=True, check=True).stdout.strip().strip('"')


def in_a_row():
    """Starts a gateway that simulates, and one in front of it."""
    far = Gateway(SIM)
    near = Gateway(RUNWARE.format(url=far.url, hash=hash_of(KEY)))
    return far, near


class Cable:
    """A connection to a gateway that can be cut."""

    def __init__(self, url):
        self.host, self.port = url.split("/")[2].split(":")
        self.writers = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_):
        self.cut()
        self.server.close()

    async def connected(self, reader, writer):
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
