"""From the command to the first question of a project with many pictures: seconds.

    python benchmarks/bench_open.py

100,000 pictures of 8 x 8 pixels, the embedded teacher. The command is run twice, as a person
would: the first time reads and embeds all files, the second finds that done. "question" is when
the page could show the first item, "student" when it has suggestions, both since the command was
begun. CPU seconds of the server stand beside them, as other programs may run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import numpy as np
from PIL import Image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--student", action="store_true", help="wait for the student, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder, "pictures"), arguments.files)
        for what in ("all files new", "embedded"):
            print(f"{arguments.files} files, {what}:", flush=True)
            open_project(folder, arguments.student)


def write_pictures(folder, n):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(n):
        pixels = rng.integers(256, size=(8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")


def open_project(folder, student):
    command = [sys.executable, "-m", "skactivekd", "label", "pictures", "--no-browser"]
    command += ["--teacher", "glyph", "--classes", ",".join("0123456789"), "--port", "0"]
    began = time.monotonic()
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        url = next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
        tell("page", began, server.pid)
        browser = build_opener(HTTPCookieProcessor())
        browser.open(url).read()
        state = {"questions": [], "student": ""}
        while not state["questions"]:
            state = ask(browser, url)
        tell("question", began, server.pid)
        while student and state["student"] != "ready":
            time.sleep(0.5)
            state = ask(browser, url)
        if student:
            tell("student", began, server.pid)
    finally:
        server.kill()
        server.wait()


def ask(browser, url):
    with browser.open(url.split("/?")[0] + "/api/state") as reply:
        return json.load(reply)


def tell(what, began, pid):
    ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    cpu = ticks / os.sysconf("SC_CLK_TCK")
    print(f"  {what}: {time.monotonic() - began:.1f} s ({cpu:.1f} s of CPU)", flush=True)


if __name__ == "__main__":
    main()
