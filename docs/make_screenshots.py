"""Draw the pictures of the labeling page in the documentation, by a headless Chromium.

    python docs/make_screenshots.py

It writes ``docs/_static/labeling/*.png``: drawn digits are labeled by who knows them.
"""

import io
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image, ImageFilter
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))
import synthetic_digits  # noqa: E402

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
N, WRONG = 1200, 3
SERVER = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from skactivekd import LabelingSession
from skactivekd.app import ImageArrays, serve
pool, folder = np.load(sys.argv[1]), sys.argv[2]
session = LabelingSession(
    LogisticRegression(C=1, max_iter=300), pool["X"], classes=sys.argv[3].split(","),
    journal=folder + "/labels.sqlite", annotator="Mia", refit=False,
)
serve(
    session, items=ImageArrays(pool["images"]), title="Handwritten digits", open_browser=False,
    guideline="Which digit did the writer mean? Skip what you cannot tell.",
)
"""


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    images, truth = draw_digits(N)
    X = np.array([shrink(image) for image in images])
    np.savez(folder / "pool.npz", images=images, X=X)
    command = [sys.executable, "-c", SERVER, folder / "pool.npz", folder, ",".join(NAMES)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
        take_pictures(url, truth)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


def draw_digits(n):
    """Draw digits with a pen: dark ink on paper."""
    rng, shapes = np.random.default_rng(4), synthetic_digits.skeletons()
    truth, images = rng.integers(10, size=n), []
    for digit in truth:
        variants = shapes[digit]
        bitmap = synthetic_digits.draw_pen(variants[rng.integers(len(variants))], rng)
        rows, columns = np.where(bitmap)
        center = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
        padded = np.pad(bitmap, 96)
        cut = padded[center[0] + 96 - 60 : center[0] + 96 + 60, center[1] + 36 : center[1] + 156]
        ink = Image.fromarray(cut.astype(np.uint8) * 255).resize((360, 360), Image.BICUBIC)
        ink = np.asarray(ink.filter(ImageFilter.GaussianBlur(2))) / 255
        paper, pen = np.array([250, 247, 238]), np.array([34, 48, 92])
        images.append((paper + ink[..., None] * (pen - paper)).astype(np.uint8))
    return np.array(images), truth


def shrink(image):
    """Cut a digit out and bring it to 12x12: what the student sees."""
    gray = Image.fromarray(image).convert("L")
    cut = gray.crop(gray.point(lambda value: 255 * (value < 150)).getbbox())
    small = cut.resize((12, 12), Image.BOX)
    return 1 - np.asarray(small, dtype=np.float32).ravel() / 255


def take_pictures(url, truth):
    browser = open_browser("1360,900")
    try:
        browser.get(url)
        wait(browser, "document.body.dataset.row")
        wrong = label(browser, truth, 180)
        browser.execute_script("document.getElementById('guideline').open = true")
        until_suggested(browser, truth)
        wait(browser, "!document.getElementById('curve-box').hidden")
        save(browser, "ask")
        browser.execute_script("document.documentElement.dataset.theme = 'dark'")
        save(browser, "dark")
        browser.execute_script("document.documentElement.dataset.theme = 'light'")
        press(browser, "c")
        wait(browser, "document.querySelectorAll('.tile').length > 5")
        mark_wrong(browser, truth)
        save(browser, "confirm")
        press(browser, "r")
        wait(browser, "document.body.dataset.row", 30)
        save(browser, "review")
        press(browser, "a")
        print(f"{wrong} labels were wrong on purpose")
    finally:
        browser.quit()
    phone = open_browser("500,900")
    try:
        phone.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 390, "height": 844, "deviceScaleFactor": 1.5, "mobile": True},
        )
        phone.get(url)
        wait(phone, "document.body.dataset.row")
        until_suggested(phone, truth)
        save(phone, "phone")
    finally:
        phone.quit()


def mark_wrong(browser, truth):
    """Go on to a grid with some wrong ones, and click them."""
    for _ in range(10):
        name = browser.execute_script("return page.classes[page.confirming]")
        rows = browser.execute_script("return page.grid.map((question) => question.index)")
        wrong = [at for at, row in enumerate(rows) if NAMES[truth[row]] != name]
        if wrong:
            break
        press(browser, "c")
        time.sleep(0.7)
    tiles = browser.find_elements("css selector", ".tile")
    for at in wrong:
        tiles[at].click()


def label(browser, truth, n):
    """Answer n items, some wrongly; return how many of those."""
    wrong = 0
    for number in range(n):
        row = int(browser.execute_script("return document.body.dataset.row"))
        name = int(truth[row])
        if number in (32, 76, 118)[:WRONG]:
            name, wrong = (name + 5) % 10, wrong + 1
        time.sleep(0.15)
        browser.execute_script(
            "[...document.querySelectorAll('.option')].find((option) => "
            "option.querySelector('.name').textContent === arguments[0]).click()",
            NAMES[name],
        )
        wait(browser, f"document.body.dataset.row !== '{row}' && document.body.dataset.row")
    time.sleep(2.5)
    return wrong


def until_suggested(browser, truth):
    """Go on to an item whose likeliest suggestion is right."""
    for _ in range(20):
        row = int(browser.execute_script("return document.body.dataset.row"))
        first = browser.execute_script(
            "return document.querySelector('.option.first .name')?.textContent"
        )
        if first == NAMES[truth[row]]:
            return
        label(browser, truth, 1)


def open_browser(size):
    options = Options()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--user-data-dir={tempfile.mkdtemp()}",
        f"--window-size={size}",
    ):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def press(browser, key):
    browser.find_element("tag name", "body").send_keys(key)


def wait(browser, script, seconds=15):
    deadline = time.monotonic() + seconds
    while not browser.execute_script(f"return {script}"):
        if time.monotonic() > deadline:
            raise TimeoutError(script)
        time.sleep(0.05)


def save(browser, name):
    """Write what is on the screen, with few colors, so that the file is small."""
    time.sleep(0.7)
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    path = HERE / "_static" / "labeling" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(224, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
