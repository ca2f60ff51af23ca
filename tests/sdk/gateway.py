"""Starts and stops gateways for the SDK tests, each on ports of its own."""

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
"""
