"""A labeling page on a port, browsers that open it, and a client that speaks like one."""

import os
import shutil
import socket
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from uuid import uuid4

import numpy as np
import uvicorn
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from starlette.testclient import TestClient

from skactivekd import LabelingSession, Margin
from skactivekd.app import make_app

TOKEN = "0123456789abcdef" * 2
ADDRESS = "http://127.0.0.1"
OPTION = (
    "[...document.querySelectorAll('.option')].find((option) => "
    "option.querySelector('.name').textContent === arguments[0])"
)


def digits(n):
    """Handwritten digits as 8x8 pictures in [0, 1], shifted and dimmed where there are too few."""
    X, y = load_digits(return_X_y=True)
    images, rng = X.reshape(-1, 8, 8) / 16, np.random.default_rng(0)
    more = n - len(images)
    if more > 0:
        rows = rng.integers(len(images), size=more)
        dimmed = images[rows] * rng.uniform(0.6, 1, size=(more, 1, 1))
        images, y = np.concatenate([images, np.roll(dimmed, 1, axis=1)]), np.r_[y, y[rows]]
    return images[:n].astype(np.float32), y[:n]


def page_session(folder, X, classes, estimator=None, **settings):
    """Open a session as the page wants it, with fits of milliseconds."""
    settings = {"strategy": Margin(), **settings}
    return LabelingSession(
        GaussianNB(var_smoothing=1e-2) if estimator is None else estimator,
        X,
        classes=classes,
        journal=os.path.join(folder, "labels.sqlite"),
        refit=False,
        **settings,
    )


class Client:
    """Speaks to an application as the page does, without a browser.

    Parameters
    ----------
    app : ASGI application
    who : str
    """

    def __init__(self, app, who="annotator"):
        self.http = TestClient(app, base_url=ADDRESS, headers={"Origin": ADDRESS})
        assert self.http.get("/", params={"token": TOKEN}).status_code == 200
        self.who = {"annotator": who, "browser": uuid4().hex}

    def get(self, path, **fields):
        """Ask for something."""
        return self.http.get(f"/api/{path}", params={**self.who, **fields})

    def post(self, path, uid=None, **fields):
        """Say something."""
        fields = {"id": uid or uuid4().hex, **self.who, **fields}
        return self.http.post(f"/api/{path}", json=fields)

    def question(self):
        """Return the question that the page would show, once there is one."""
        return self.questions()[0]

    def questions(self):
        """Return those at hand, once there is one."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            state = self.get("state").json()
            if state["questions"]:
                return state["questions"]
            time.sleep(0.02)
        raise AssertionError(state)

    def tell(self, question, label, **fields):
        """Answer a question."""
        return self.post("answer", kind="tell", key=question["key"], label=label, **fields)


@contextmanager
def running(session, items, port=0, **settings):
    """Serve a page from a thread; yield its address."""
    settings = {"title": "Test", "token": TOKEN, **settings}
    app = make_app(session, items=items, **settings)
    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"{ADDRESS}:{listening.getsockname()[1]}/?token={TOKEN}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()
        session.close()


def chromium():
    """Start a headless Chromium, or return None where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        return None
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--user-data-dir={tempfile.mkdtemp()}",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


class Person:
    """Sits before the page and presses keys."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.get_log("browser")  # what was said before is no concern of this test
        driver.get(url)
        self.arrive()

    def arrive(self):
        """Wait for the first item."""
        self.wait("document.body.dataset.row")

    def reload(self):
        """Load the page anew."""
        self.driver.refresh()
        self.arrive()

    def ask(self, script, *arguments):
        """Return what a piece of script says."""
        return self.driver.execute_script(f"return {script}", *arguments)

    def wait(self, script, seconds=20):
        """Wait until a piece of script says something, and return that."""
        from selenium.common.exceptions import JavascriptException

        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(JavascriptException):  # the page is being loaded
                if found := self.ask(script):
                    self.came = time.monotonic()
                    return found
            time.sleep(0.01)
        raise AssertionError(script)

    def press(self, keys):
        """Press keys."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(keys).perform()

    def text(self, name):
        """Return the text of an element."""
        return self.ask("document.getElementById(arguments[0]).textContent", name)

    @property
    def row(self):
        """The row before the person, once there is one."""
        row = "document.body.dataset.row"
        return int(self.ask(row) or self.wait(row))

    def see(self):
        """Wait as long as nobody can have seen an item: keys are taken for a bounce until then."""
        time.sleep(max(0.0, 0.13 - (time.monotonic() - self.came)))

    def change(self, row):
        """Wait for another item than this one."""
        self.wait(f"document.body.dataset.row && document.body.dataset.row !== '{row}'")

    def answer(self, keys):
        """Press keys and wait for the next item."""
        before = self.row
        self.see()
        self.press(keys)
        self.change(before)

    def tell(self, name):
        """Answer by the key that stands on the class, or with Enter on it where none does."""
        from selenium.webdriver.common.keys import Keys

        before = self.row
        key = self.key_of(name)
        self.see()
        if not key:
            self.ask(f"{OPTION}.focus()", name)
        self.press(key or Keys.ENTER)
        self.change(before)
        self.ask("document.activeElement.blur()")

    def key_of(self, name):
        """The key that stands on a class, if any."""
        return self.ask(f"{OPTION}?.querySelector('kbd')?.textContent", name)

    def settle(self):
        """Wait until the server knows everything."""
        self.wait("page.outbox.length === 0 && !page.sending")

    def complaints(self):
        """What the browser says of this page; that of an earlier test may miss its server."""
        place = self.ask("location.origin")
        return [
            entry
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and place in entry["message"]
        ]
