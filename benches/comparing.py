"""What the comparisons of benches/compare share: where programs are, running them in turn, and verdicts."""
import fcntl
import json
import os
import pty
import re
import statistics
import struct
import subprocess
import sys
import termios
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


# How the terminal is sized that a program believes it writes to: rows, columns, and two that nobody reads.
TERMINAL = struct.pack("HHHH", 24, 160, 0, 0)


class Watched:
    """A process whose clock started with it, with what it wrote on stdout and when it wrote the first line.

    With `shown`, an expression, stderr is a terminal, and the first time is when the expression is found in what it shows.
    """

    def __init__(self, command, shown=None, **options):
        # Lines are joined at the end: a text that grows is copied again and again, beside the program that is timed.
        self.lines = []
        self.first = None
        self.shown = shown
        if shown:
            self.screen, options["stderr"] = pty.openpty()
            fcntl.ioctl(self.screen, termios.TIOCSWINSZ, TERMINAL)
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
        self.readers = [threading.Thread(target=self.read)]
        if shown:
            os.close(options["stderr"])
            self.readers.append(threading.Thread(target=self.look))
        for reader in self.readers:
            reader.start()

    def read(self):
        for line in self.process.stdout:
            if not self.shown:
                self.first = self.first or self.clock()
            self.lines.append(line)

    def look(self):
        seen = b""
        try:
            while part := os.read(self.screen, 4096):
                seen += part
                if not self.first and re.search(self.shown, seen.decode(errors="replace")):
                    self.first = self.clock()
        except OSError:
            # The terminal closes with the last process that writes to it.
            os.close(self.screen)

    @property
    def output(self):
        return "".join(self.lines)

    def clock(self):
        return time.monotonic() - self.started

    def wait(self):
        """Peak memory in MB, after a successful end."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        for reader in self.readers:
            reader.join()
        if self.process.returncode != 0:
            sys.exit(f"`{' '.join(self.process.args)}` ended with {self.process.returncode}: see its message above")
        return usage.ru_maxrss / 1024


def at_least(value, must, aim=None):
    if value < must:
        return "FAIL"
    return "aim" if aim is not None and value >= aim else "pass"
