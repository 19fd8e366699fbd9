"""A chat server for the tests: it speaks the protocol, and fails on command."""

import base64
import io
import json
import math
import re
import socket
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

CLASSES = ["ant", "bee", "cat", "dog"]
LETTERS = "ABCD"


def true_proba(number, n_classes=4):
    """What the model behind the server thinks of row `number`."""
    logits = np.sin(np.arange(1, n_classes + 1) * (number + 1)) * 2
    return np.exp(logits) / np.exp(logits).sum()


def row_of(body):
    """Find the number in a row's text, or in the pixels of its image."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        found = re.search(r"row (\d+)", content)
        return int(found[1]) if found else -1
    from PIL import Image

    url = content[0]["image_url"]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return int(np.asarray(image.convert("L")).mean().round())


def tokens_of(proba):
    """Write probabilities as a model's tokens: with spellings, and other tokens."""
    tokens = [(letter, 0.9 * p * 0.75) for letter, p in zip(LETTERS, proba, strict=True)]
    tokens += [(f" {letter}", 0.9 * p * 0.25) for letter, p in zip(LETTERS, proba, strict=True)]
    tokens += [("The", 0.06), ("a", 0.02), ("Z", 0.01), ("AB", 0.005)]
    return sorted(tokens, key=lambda entry: -entry[1])


def reply_of(tokens):
    """Write tokens as the server does."""
    top = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in tokens]
    message = {"role": "assistant", "content": top[0]["token"] if top else ""}
    logprobs = {"content": [{**top[0], "top_logprobs": top}]} if top else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "length"}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}


class ChatServer:
    """A server on a free port; a context manager.

    Parameters
    ----------
    faults : dict of int to list of str
        What to do at the first tries of a row.
    delay : float
        Seconds before each answer.
    """

    def __init__(self, faults=None, delay=0.0):
        self.faults, self.delay = defaultdict(list, faults or {}), delay
        self.answered, self.tried, self.bodies, self.keys = Counter(), Counter(), [], set()
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.handle_error = lambda *_: None  # clients that are gone
        self.server.daemon_threads = True
        self.server.block_on_close = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        owner = self.owner
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(data)
        row = row_of(body)
        with owner.lock:
            owner.keys.add(self.headers.get("Authorization"))
            owner.bodies.append(body)
            queue = owner.faults[row]
            fault = queue.pop(0) if queue else owner.faults.get("all")
            owner.tried[row] += 1
            owner.under_way += 1
            owner.most_under_way = max(owner.most_under_way, owner.under_way)
        try:
            time.sleep(owner.delay)
            self._answer(fault, row)
        except OSError:  # the client is gone
            pass
        finally:
            with owner.lock:
                owner.under_way -= 1

    def _answer(self, fault, row):
        if isinstance(fault, tuple):  # status, what it says, more headers
            return self._send(fault[0], fault[1], **(fault[2] if len(fault) > 2 else {}))
        if isinstance(fault, bytes):
            return self._send(200, fault)
        if isinstance(fault, list | dict):
            return self._send(200, fault)
        if fault == "slow":
            time.sleep(1.2)
            return None
        if fault == "trickle":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
            return None
        if fault == "hang up":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        tokens = tokens_of(true_proba(row))
        if fault == "wrong letters":
            return self._send(200, reply_of([("Z", 0.8), ("I", 0.1), ("q", 0.05)]))
        text = json.dumps(reply_of(tokens)).encode()
        if fault == "truncated":
            return self._send(200, text[: len(text) // 2])
        with self.owner.lock:
            self.owner.answered[row] += 1
        return self._send(200, text)

    def _send(self, status, content, **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None
