#!/usr/bin/env python3
"""Drives the web page in a real browser: a file through the file input, question, Enter, answer.

    python3 browser.py http://127.0.0.1:7860/ FILE QUESTION [--screenshot answer.png]
    python3 browser.py http://127.0.0.1:7860/?model=NAME "" "" --record

Prints the answer as one JSON line {"answer", "probability", "top", "outputs"} and exits 0; prints
what went wrong on stderr and exits 1. With --record the page's own camera or microphone takes the
place of the file: the browser has made-up ones. Needs Python 3 alone and Debian's chromium and
chromium-driver; speaks the WebDriver protocol over loopback.
"""

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# The key under which WebDriver answers with a reference to an element.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER = "\ue007"


class Failure(Exception):
    """The page or the browser did not do what was expected."""


class Browser:
    """A headless chromium behind a chromedriver that this object starts and stops."""

    def __init__(self, options):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.session = None
        self.driver = subprocess.Popen(
            [options.driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self.wait(lambda: self.ready(), "chromedriver did not start")
            self.session = self.open(options)
        except BaseException:
            self.close()
            raise

    def open(self, options):
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", f"--user-data-dir={self.profile.name}",
            f"--window-size={options.size}", "--use-fake-device-for-media-stream",
        ]
        # A made-up person who allows the camera and the microphone, or one who never does.
        flags.append("--deny-permission-prompts" if options.blocked else "--use-fake-ui-for-media-stream")
        if options.dark:
            flags.append("--force-dark-mode")
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": options.browser, "args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        if options.mobile:
            width, height = map(int, options.size.split(","))
            metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
            wanted["goog:chromeOptions"]["mobileEmulation"] = {"deviceMetrics": metrics}
        session = self.send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        return session["sessionId"]

    def ready(self):
        try:
            return self.send("GET", "/status")["ready"]
        except OSError:
            if self.driver.poll() is not None:
                raise Failure("chromedriver ended at once")
            return False

    def send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            # A proxy of the environment has no part in a conversation on loopback.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise Failure(f"{method} {path}: {value['error']}: {value['message']}") from None

    def call(self, method, path, body=None):
        return self.send(method, f"/session/{self.session}{path}", body)

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        body = {"using": "css selector", "value": selector}
        return self.call("POST", "/element", body)[ELEMENT]

    def type(self, selector, text):
        self.call("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def click(self, selector):
        self.call("POST", f"/element/{self.find(selector)}/click", {})

    def wait(self, condition, complaint, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        raise Failure(f"{complaint} within {seconds} s")

    def screenshot(self, path):
        # The page itself may be longer than the window.
        shot = self.call(
            "POST", "/goog/cdp/execute",
            {"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": True}},
        )["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot))

    def close(self):
        try:
            if self.session:
                self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.profile.cleanup()


# What the page shows: the answer once it is there, a notice if there is one.
READ = """
const answer = [...document.querySelectorAll("#talk .theirs:not(.waiting)")].at(-1) ?? document.querySelector("#answer");
const text = (node) => node?.textContent.trim() ?? "";
const value = (node) => node?.matches("ul, ol") ? [...node.querySelectorAll(".name")].map(text) : text(node);
const isTalk = answer?.matches("li");
return {
  state: isTalk ? "done" : answer?.dataset.state,
  turns: document.querySelectorAll("#talk .theirs:not(.waiting)").length,
  notice: text(document.querySelector("#notice")),
  problem: text(document.querySelector(".problem:not([hidden])")),
  answer: value(answer?.querySelector(".value")),
  probability: text(answer?.querySelector(".sure")),
  top: [...(answer?.querySelectorAll(".bars li") ?? [])].map((row) => ({
    value: row.querySelector(".name").textContent,
    probability: row.querySelector(".share").textContent,
  })),
  outputs: Object.fromEntries([...(answer?.querySelectorAll(".output") ?? [])].map(
    (output) => [output.dataset.output, value(output.querySelector(".value"))],
  )),
  mediumShown: [...document.querySelectorAll(".medium img, .medium .drop video, .medium audio")].some(
    (one) => one.naturalWidth || one.readyState >= 1,
  ),
};
"""


# What the page's modules compute, beside what they show.
MODULES = """
const done = arguments[arguments.length - 1];
Promise.all([import("/assets/values.js"), import("/assets/microphone.js")]).then(([values, microphone]) => {
  const aligned = (value, ...tokens) => values
    .aligned(value, tokens.map(([text, probability]) => ({ text, probability })))
    .map(({ text, probability }) => (probability == null ? text : `${text}:${probability}`)).join("|");
  const view = new DataView(microphone.wav(new Float32Array([0, 1, -2]), 16000));
  done({
    words: aligned("a circle.", ["a", 0.5], ["circ", 0.5], ["le", 0.5], [".", 1]),
    repeated: aligned("the the", ["the", 0.25], ["the", 0.75]),
    unspaced: aligned("\u7ea2\u5706", ["\u7ea2", 0.5], ["\u5706", 0.25]),
    halves: aligned("x \u00e9", ["x", 1], ["\ufffd", 0.5], ["\ufffd", 0.5]),
    marks: aligned("a b", ["a", 1], ["", 0.5], ["b", 1]),
    alone: aligned("no tokens"),
    sound: [view.byteLength, view.getUint32(4, true), view.getUint32(24, true), view.getUint32(40, true),
      view.getInt16(44, true), view.getInt16(46, true), view.getInt16(48, true)].join(" "),
  });
}, (error) => done({ error: String(error) }));
"""
COMPUTED = {
    "words": "a:0.5| |circle.:0.25", "repeated": "the:0.25| |the:0.75", "unspaced": "\u7ea2:0.5|\u5706:0.25",
    "halves": "x:1| \u00e9:0.25", "marks": "a:1| |b:0.5", "alone": "no tokens",
    "sound": "50 42 16000 6 0 32767 -32767",
}


def compute(browser):
    """Has the page's modules compute what can be known."""
    found = browser.call("POST", "/execute/async", {"script": MODULES, "args": []})
    if found != COMPUTED:
        raise Failure(f"expected of the page's modules {COMPUTED}, found {found}")


def record(browser, options):
    """Takes a picture, a clip or a sound with the page's own camera or microphone."""
    browser.click(".pill.source")
    if options.blocked:
        return browser.wait(lambda: browser.run(READ)["problem"], "the page did not say that the device is blocked")
    shutter = "!document.querySelector('.live .shutter').disabled"
    browser.wait(lambda: browser.run(f"return {shutter}"), "the camera or microphone did not open")
    if browser.run("return Boolean(document.querySelector('.live.video .shutter'))"):
        browser.click(".live .shutter")
    if not browser.run("return Boolean(document.querySelector('.live.image'))"):
        seconds = "document.querySelector('.live .timer').textContent"
        browser.wait(lambda: browser.run(f"return {seconds}")[:4] == "0:02", "the timer did not run")
    if options.live:
        browser.screenshot(options.live)
    browser.click(".live .shutter")
    return None


def ask(browser, options):
    """Uploads or records, asks, and returns what the page shows."""
    browser.call("POST", "/url", {"url": options.address})
    browser.wait(
        lambda: browser.run("return document.querySelectorAll('#form textarea, #form input').length > 0"),
        "the form did not appear",
    )
    compute(browser)
    if options.record:
        problem = record(browser, options)
        if problem:
            return {"problem": problem}
    if options.file:
        files = [os.path.abspath(file) for file in options.file.split(",")]
        browser.type("input[type=file]", "\n".join(files))
    if options.record or options.file:
        browser.wait(lambda: browser.run(READ)["mediumShown"], "the preview did not appear")
    questions = [options.question, *options.then] if options.question else [None]
    for turn, question in enumerate(questions, 1):
        page = answered(browser, options, question, turn)
    console = browser.call("POST", "/se/log", {"type": "browser"})
    problems = [entry["message"] for entry in console if entry["level"] == "SEVERE"]
    if problems:
        raise Failure(f"the browser's console has errors: {problems}")
    if browser.run("return document.documentElement.scrollWidth > innerWidth"):
        raise Failure("the page is wider than the window")
    return {name: page[name] for name in ("answer", "probability", "top", "outputs")}


def answered(browser, options, question, turn):
    """Asks, where there is a question, and waits for what the page then shows."""
    if question:
        browser.type("#form textarea", question + ENTER)

    def shown():
        page = browser.run(READ)
        if page["notice"]:
            raise Failure(f"the page says: {page['notice']}")
        is_new = page["turns"] in (0, turn)
        return page["answer"] and page["state"] == "done" and is_new and page

    return browser.wait(shown, "no answer appeared", options.patience)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address", help="the server's address, such as http://127.0.0.1:7860/")
    parser.add_argument("file", help="the picture, recording or video to upload, several with commas between; empty for none")
    parser.add_argument("question", help="what to ask; empty where the model takes no text")
    parser.add_argument("--record", action="store_true", help="use the page's camera or microphone, not a file")
    parser.add_argument("--blocked", action="store_true", help="refuse the camera and the microphone")
    parser.add_argument("--then", action="append", default=[], help="another question, in a conversation")
    parser.add_argument("--live", help="where to save a PNG of the page while it records")
    parser.add_argument("--expect", help="fail unless this is the answer")
    parser.add_argument("--screenshot", help="where to save a PNG of the page")
    parser.add_argument("--size", default="1200,900", help="the window's WIDTH,HEIGHT")
    parser.add_argument("--mobile", action="store_true", help="behave like a telephone")
    parser.add_argument("--dark", action="store_true", help="prefer the dark look")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for the answer")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--driver", default="/usr/bin/chromedriver")
    options = parser.parse_args()
    browser = None
    try:
        browser = Browser(options)
        try:
            found = ask(browser, options)
        finally:
            if options.screenshot:
                time.sleep(0.7)  # The bars grow into place.
                browser.screenshot(options.screenshot)
        if options.expect is not None and found["answer"] != options.expect:
            raise Failure(f"expected the answer {options.expect!r}, found {found['answer']!r}")
    except (Failure, OSError) as error:
        print(f"browser.py: {error}", file=sys.stderr)
        return 1
    finally:
        if browser:
            browser.close()
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
