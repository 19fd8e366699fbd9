"""Key to next item on the labeling page, measured inside the browser: milliseconds.

    python benchmarks/bench_page.py

A pool of 10,000 pictures (files of 1024 x 768) with 384 numbers each, 10 classes and a noisy
teacher; the student is the default one, questions come from `UncertaintyHerding`. Chromium,
headless, is driven by chromedriver: 60 answers by key, one every 0.7 s, while the student is
fitted, questions are drawn and figures measured in the background. "on screen" is the time from
the key press to the frame that shows the next item, "on disk" to the server's word that the
answer is kept.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
from bench_refit import make_pool

SERVER = """
import sys
import numpy as np
from sklearn.pipeline import make_pipeline
from skactivekd import DHOClassifier, LabelingSession, TeacherProba
from skactivekd.app import ImageFiles, serve
pool, folder, paths = np.load(sys.argv[1]), sys.argv[2], sys.argv[3:]
n = len(pool["X"])
session = LabelingSession(
    make_pipeline(TeacherProba(pool["teacher"]), DHOClassifier()), pool["X"],
    classes=[f"class {label}" for label in range(pool["teacher"].shape[1])],
    journal=folder + "/labels.sqlite", refit=False,
)
items = ImageFiles([paths[row % len(paths)] for row in range(n)])
serve(session, items=items, title="Benchmark", open_browser=False)
"""


def main():
    arguments = parse_arguments()
    folder = pathlib.Path(tempfile.mkdtemp())
    X, _, teacher = make_pool(arguments.rows, arguments.features, arguments.classes)
    np.savez(folder / "pool.npz", X=X, teacher=teacher)
    paths = draw_pictures(folder, 100)
    command = [sys.executable, "-c", SERVER, folder / "pool.npz", folder, *paths]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
        shown, kept = drive(url, arguments)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)
    print(f"{arguments.rows} x {arguments.features}, {arguments.classes} classes:")
    for name, times in (("on screen", shown), ("on disk", kept)):
        print(
            f"  key to next item {name}: median {np.median(times):.0f} ms, 95 % "
            f"{np.percentile(times, 95):.0f} ms, most {max(times):.0f} ms, of {len(times)}"
        )
    waited = arguments.answers - len(kept)
    print(f"  keys that found no item, since new ones were being drawn: {waited}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=384)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--answers", type=int, default=60)
    parser.add_argument("--every", type=float, default=0.7, help="seconds between answers")
    return parser.parse_args()


def draw_pictures(folder, n):
    """Write pictures as a camera does: large, with soft shapes and some noise."""
    from PIL import Image

    rng, paths = np.random.default_rng(0), []
    for number in range(n):
        coarse = rng.integers(256, size=(6, 8, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((1024, 768), Image.Resampling.BICUBIC))
        noise = rng.integers(-12, 13, size=picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        paths.append(str(folder / f"{number}.jpg"))
        Image.fromarray(picture).save(paths[-1], quality=90)
    return paths


def drive(url, arguments):
    browser = open_browser()
    try:
        browser.get(url)
        deadline = time.monotonic() + 180
        ready = "return document.body.dataset.row && document.body.dataset.student === 'ready'"
        while not browser.execute_script(ready):
            assert time.monotonic() < deadline, "the student was not fitted in three minutes"
            time.sleep(0.2)
        body = browser.find_element("tag name", "body")
        for _ in range(arguments.answers):
            time.sleep(arguments.every)
            body.send_keys("1")
        time.sleep(2)
        return browser.execute_script("return [labeling.timings, labeling.saves]")
    finally:
        browser.quit()


def open_browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--user-data-dir={tempfile.mkdtemp()}",
        "--window-size=1360,900",
    ):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


if __name__ == "__main__":
    main()
