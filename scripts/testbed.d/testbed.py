"""A testbed of `scripts/testbed`, of whatever kind, and loads in it. For the benches, the faults and the demos."""

import json
import os
import subprocess
import threading
import time
from datetime import datetime

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def filled(template, **values):
    for name, value in values.items():
        template = template.replace(name, str(value))
    return template


class Testbed:
    """One in a folder; `kind` is what comes before the commands of the script."""

    def __init__(self, state, *kind):
        self.state, self.kind = state, kind

    def environment(self):
        return {**os.environ, "TESTBED_STATE": self.state}

    def said(self, argv, text=None, within=120):
        """What a command wrote to stdout; an error with all that it wrote when it failed."""
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=within, env=self.environment())
        if done.returncode != 0:
            raise RuntimeError(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def argv(self, *argv):
        return [os.path.join(ROOT, "scripts", "testbed"), *self.kind, *argv]

    def script(self, *argv, **more):
        return self.said(self.argv(*argv), **more)

    def inside(self, *argv, **more):
        return self.script("exec", *argv, **more)

    def begin(self, *argv, **more):
        """A command inside that goes on; it ends with its caller."""
        return subprocess.Popen(self.argv("exec", *argv), stdin=subprocess.DEVNULL, env=self.environment(), **more)

    def up(self, nodes, quotas=None, *options):
        """Anew, going down with this process; `quotas` are millicores of nodes."""
        self.script("down")
        limits = [f"{node}={millicores}" for node, millicores in (quotas or {}).items()]
        self.script("up", "--owner", str(os.getpid()), "--nodes", str(nodes), "--zones", "2",
                    *(["--cpus", ",".join(limits)] if limits else []), *options, within=300)


def wait(what, within, look):
    """Asks until there is an answer that is true."""
    began, last = time.monotonic(), None
    while time.monotonic() - began < within:
        try:
            answer = look()
            if answer:
                return answer
        except Exception as error:  # noqa: BLE001  the last one is told when it does not come right
            last = error
        time.sleep(0.2)
    raise RuntimeError(f"{what} did not come within {within} s; last: {last}")


def unix_s(text):
    """A time as the API writes it."""
    return datetime.fromisoformat(text).timestamp()


def quantile_ms(seconds, share):
    """Over all requests of these seconds, from their histograms (within 1 %)."""
    counts = {}
    for second in seconds:
        for value, count in second["latency_us"].items():
            counts[int(value)] = counts.get(int(value), 0) + count
    wanted = share * sum(counts.values())
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value / 1000
    return None


class Load:
    """An open-loop load, second by second, from the process that makes it."""

    PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    @staticmethod
    def command(program, url, rate, seconds, *options):
        return [program, "load", url, "--rate", str(rate), "--seconds", str(seconds), "--every-second", *map(str, options)]

    def __init__(self, process):
        self.seconds, self.lock, self.total, self.process = [], threading.Lock(), None, process
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            said = json.loads(line)
            with self.lock:
                if "over_at_unix_ms" in said:
                    self.seconds.append(said)
                else:
                    self.total = said

    def so_far(self):
        with self.lock:
            return list(self.seconds)

    def between(self, begin_ms, end_ms):
        """The seconds that lie wholly between."""
        with self.lock:
            return [s for s in self.seconds if s["over_at_unix_ms"] - 1000 >= begin_ms and s["over_at_unix_ms"] <= end_ms]

    def runs(self):
        return self.process.poll() is None

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
