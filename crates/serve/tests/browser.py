#!/usr/bin/env python3
"""Drives the web page in a real browser: a file through the file input, question, Enter, answer.

    python3 browser.py http://127.0.0.1:7860/ FILE QUESTION [--screenshot answer.png]

Prints the answer as one JSON line {"answer", "probability", "top"} and exits 0; prints
what went wrong on stderr and exits 1. Needs Python 3 alone and Debian's chromium and
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
            f"--window-size={options.size}",
        ]
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
const text = (selector) => document.querySelector(selector)?.textContent.trim() ?? "";
const state = document.querySelector("#answer")?.dataset.state;
return {
  state,
  notice: text("#notice"),
  answer: text("#answer .value"),
  probability: text("#answer .sure"),
  top: [...document.querySelectorAll("#answer .bars li")].map((row) => ({
    value: row.querySelector(".name").textContent,
    probability: row.querySelector(".share").textContent,
  })),
  mediumShown: [...document.querySelectorAll(".medium img, .medium video, .medium audio")].some(
    (one) => one.naturalWidth || one.readyState >= 1,
  ),
};
"""


def ask(browser, options):
    """Uploads, asks, and returns what the page shows."""
    browser.call("POST", "/url", {"url": options.address})
    browser.wait(
        lambda: browser.run("return document.querySelectorAll('#form textarea, #form input').length > 0"),
        "the form did not appear",
    )
    if options.file:
        browser.type("input[type=file]", os.path.abspath(options.file))
        browser.wait(lambda: browser.run(READ)["mediumShown"], "the preview did not appear")
    if options.question:
        browser.type("#form textarea", options.question + ENTER)

    def shown():
        page = browser.run(READ)
        if page["notice"]:
            raise Failure(f"the page says: {page['notice']}")
        return page["answer"] and page["state"] == "done" and page

    page = browser.wait(shown, "no answer appeared", options.patience)
    console = browser.call("POST", "/se/log", {"type": "browser"})
    problems = [entry["message"] for entry in console if entry["level"] == "SEVERE"]
    if problems:
        raise Failure(f"the browser's console has errors: {problems}")
    if browser.run("return document.documentElement.scrollWidth > innerWidth"):
        raise Failure("the page is wider than the window")
    return {name: page[name] for name in ("answer", "probability", "top")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address", help="the server's address, such as http://127.0.0.1:7860/")
    parser.add_argument("file", help="the picture, recording or video to upload; empty for none")
    parser.add_argument("question", help="what to ask; empty where the model takes no text")
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
