"""A labeling page on a port, browsers that open it, and a client that speaks like one."""

import os
import shutil
import socket
import tempfile
import threading
import time
from contextlib import contextmanager
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
def running(session, items, **settings):
    """Serve a page from a thread; yield its address."""
    settings = {"title": "Test", "token": TOKEN, **settings}
    app = make_app(session, items=items, **settings)
    listening = socket.create_server(("127.0.0.1", 0))
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
