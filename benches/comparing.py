"""What the comparisons of benches/compare share: where programs are, running them in turn, and verdicts."""
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
REPOSITORY = BENCHES.parent
PEERS = Path(os.environ.get("SENSORIUM_PEERS") or Path.home() / ".cache/sensorium/peers")


def binary():
    """The `sensorium` program."""
    chosen = os.environ.get("SENSORIUM_BIN")
    target = os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target"
    path = Path(chosen) if chosen else Path(target) / "release/sensorium"
    if not path.exists():
        sys.exit(f"{path} does not exist: run `cargo build --release` or set SENSORIUM_BIN")
    return str(path)


def python():
    """The interpreter of the PyTorch environment."""
    path = PEERS / "torch/bin/python"
    if not path.exists():
        sys.exit(f"{path} does not exist: run benches/peers/install.sh or set SENSORIUM_PEERS")
    return str(path)


def run_json(command):
    """What a command prints on stdout, as JSON."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command)}` ended with {done.returncode}: see its message above")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as error:
        sys.exit(f"`{' '.join(command)}` printed no JSON document ({error}):\n{done.stdout[:500]}")


def note(text):
    print(text, file=sys.stderr, flush=True)


def interleave(rounds, sides):
    """What `rounds` calls of each of `sides` (functions by name) return; every other round starts with the last."""
    results = {name: [] for name in sides}
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            results[name].append(sides[name]())
    return results


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def verdict(value, must, aim=None):
    """`aim`, `pass` or `FAIL`; a dash where nothing is asked."""
    if must is None:
        return "–"
    if value > must:
        return "FAIL"
    return "aim" if aim is not None and value <= aim else "pass"


class Watched:
    """A process whose clock started with it, with what it wrote on stdout and when it wrote the first line."""

    def __init__(self, command, **options):
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
        self.output = ""
        self.first = None
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.first = self.first or self.clock()
            self.output += line

    def clock(self):
        return time.monotonic() - self.started

    def wait(self):
        """Peak memory in MB, after a successful end."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.reader.join()
        if self.process.returncode != 0:
            sys.exit(f"`{' '.join(self.process.args)}` ended with {self.process.returncode}: see its message above")
        return usage.ru_maxrss / 1024


def at_least(value, must, aim=None):
    if value < must:
        return "FAIL"
    return "aim" if aim is not None and value >= aim else "pass"
