"""The page in a real browser, by keys alone: digits, texts, a table."""

import time
import wave

import numpy as np
import pytest
from page_tools import Person, digits, page_session, running
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from session_tools import quick_folder
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from skactivekd.app import ImageArrays, SoundFiles, TableRows, Texts

SCRIPT = "<img src=x onerror=document.title='run'>"
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", SCRIPT]


@pytest.fixture
def folder():
    with quick_folder() as folder:
        yield folder


@pytest.mark.slow
def test_an_hour_with_digits(driver, folder):
    images, truth = digits(3000)
    X = images.reshape(len(images), -1)
    session = page_session(folder, X, NAMES, LogisticRegression(C=10, max_iter=200, tol=1e-2))
    with running(session, ImageArrays(images), title=SCRIPT) as url:
        person = Person(driver, url)
        asked = []
        for _ in range(20):
            asked.append(person.row)
            person.tell(NAMES[truth[person.row]])
        # Reload in the middle: the same question, and the session goes on.
        person.settle()
        row = person.row
        person.reload()
        assert person.row == row
        mistaken = None
        for number in range(20):
            asked.append(person.row)
            wrong = number == 5
            mistaken = asked[-1] if wrong else mistaken
            person.tell(NAMES[(truth[person.row] + wrong) % 10])
        person.settle()
        assert len(set(asked)) == 40
        y = session.y
        for row in asked:
            expected = (truth[row] + (row == mistaken)) % 10
            assert y[row] == NAMES[expected]

        # Two undone, which come again, one after the other.
        for back in (1, 2):
            person.press("u")
            person.wait(f"document.body.dataset.row === '{asked[-back]}'")
        person.settle()
        assert (session.y != -1).sum() == 38
        for row in asked[-2:]:
            assert person.row == row
            person.tell(NAMES[truth[row]])

        # One skipped, one bad, one of a new class.
        skipped = person.row
        person.answer("s")
        bad = person.row
        person.answer("x")
        new = person.row
        person.see()
        person.press("n")
        person.press("plus<b>" + Keys.ENTER)
        person.wait(f"document.body.dataset.row !== '{new}'")
        person.settle()
        assert session.y[new] == "plus<b>"
        assert session.classes == [*NAMES, "plus<b>"]
        progress = session.progress(fresh=False)
        assert (progress["labels"], progress["skipped"], progress["rejected"]) == (41, 1, 1)
        assert {skipped, bad} & set(asked) == set()
        person.wait("document.querySelectorAll('.option').length === 11")

        # An answer in the history is changed.
        person.wait("document.getElementById('figure-labels').textContent === '41'")
        person.press("h")
        now = person.row
        person.press(Keys.ENTER)
        person.wait(f"document.body.dataset.row === '{new}'")
        person.see()
        person.press(person.key_of("two"))
        person.wait(f"document.body.dataset.row === '{now}'")
        person.settle()
        assert session.y[new] == "two"

        # Confirm: two wrong ones in a grid, by keys.
        person.wait("document.body.dataset.student === 'ready'")
        before = (session.y != -1).sum()
        person.press("c")
        n = person.wait("document.querySelectorAll('.tile').length")
        name = person.text("confirm-name").strip("“”")
        rows = person.ask("page.grid.map((question) => question.index)")
        person.press(Keys.ARROW_RIGHT + Keys.SPACE + Keys.ARROW_DOWN + Keys.SPACE)
        assert person.ask("document.querySelectorAll('.tile[aria-pressed=true]').length") == 2
        denied = person.ask(
            "page.grid.filter((one) => page.wrong.has(one.key)).map((one) => one.index)"
        )
        time.sleep(0.5)
        person.press(Keys.ENTER)
        person.wait(f"page.grid.every((question) => question.index !== {rows[0]})")
        person.settle()
        y = session.y
        assert (y != -1).sum() == before + n - 2
        assert all((y[row] == -1) if row in denied else (y[row] == name) for row in rows)
        assert session.progress(fresh=False)["by_source"]["confirm"] == n - 2

        # Review: the label that was wrong on purpose.
        person.press("r")
        person.wait("document.body.dataset.row")
        for _ in range(30):
            if person.row == mistaken:
                break
            person.answer("s")
        assert person.row == mistaken
        assert person.ask("document.querySelector('.option.held .name').textContent") == y[mistaken]
        person.see()
        person.press(person.key_of(NAMES[truth[mistaken]]))
        person.settle()
        assert session.y[mistaken] == NAMES[truth[mistaken]]

        # What was said is live on the page.
        person.press("a")
        person.wait("document.getElementById('figure-accuracy').textContent.includes('%')")
        assert person.ask("document.querySelector('#curve svg') !== null")
        assert "random items" in person.text("interval")
        assert person.text("advice")
        assert person.ask("document.title") == SCRIPT  # a text, which nobody has run
        assert person.text("title") == SCRIPT
        assert person.complaints() == []


def test_a_lost_server_keeps_answers_in_the_page(driver, folder):
    images, _ = digits(200)
    session = page_session(folder, images.reshape(200, -1), list("0123456789"))
    items = ImageArrays(images)
    with running(session, items) as url:
        person = Person(driver, url)
        person.answer("1")
        person.settle()
        # A disk that is full for a while.
        tell = session.tell
        row = person.row

        def refuse(*_, **__):
            raise OSError(28, "The disk is full; the answer was not kept. Make room")

        session.tell = refuse
        person.answer("2")
        person.wait("!document.getElementById('problem').hidden")
        assert "The disk is full; the answer was not kept" in person.text("problem-text")
        assert "One answer waits here" in person.text("problem-text")
        session.tell = tell
        person.reload()  # the answer outlives it
        person.settle()
        assert session.y[row] != -1
        assert person.row != row
        # A picture that cannot be read says why, and can be called bad.
        items._make = None
        items._kept.clear()
        driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        person.reload()
        person.wait("document.querySelector('#item .note.bad')")
        bad = person.row
        person.answer("x")
        person.settle()
        assert session.progress(fresh=False)["rejected"] == 1
        assert session.y[bad] == -1


def test_answers_that_nobody_took_reach_the_next_server(driver, folder):
    images, _ = digits(200)
    X, items, names = images.reshape(200, -1), ImageArrays(images), list("0123456789")
    with running(page_session(folder, X, names), items) as url:
        person = Person(driver, url)
        person.answer("1")
        person.settle()
        person.wait("page.queue.length > 1")
        port = int(url.split("/?")[0].rsplit(":", 1)[1])
    row = person.row
    person.answer("2")
    person.wait("!document.getElementById('problem').hidden")
    assert "does not answer" in person.text("problem-text")
    before = driver.current_window_handle
    driver.switch_to.new_window("tab")  # the one that holds the answer stays, and sends it, too
    try:
        session = page_session(folder, X, names)
        with running(session, items, port=port) as url:
            person = Person(driver, f"{url}&annotator=ben")  # who is not asked what others are
            person.settle()
            person.wait("page.current !== null")
            assert session.y[row] == "2"
            assert person.row != row
            own = [question.key for question in session.waiting(annotator="ben")]
            assert person.ask("page.current.key") in own
            assert person.ask("Object.keys(localStorage).filter((n) => n.includes('outbox'))") == []
            driver.close()
            driver.switch_to.window(before)
            person.wait("page.stuck === false && page.outbox.length === 0")
            assert [entry["label"] for entry in session.history(9)].count("2") == 1
            assert session.progress(fresh=False)["labels"] == 2
    finally:
        driver.switch_to.window(before)


def test_a_phone_needs_no_sideways_scrolling(driver, folder):
    images, _ = digits(300)
    session = page_session(folder, images.reshape(300, -1), ["a" * 60, *NAMES])
    with running(session, ImageArrays(images), title="A title that is longer than a phone") as url:
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            person = Person(driver, url)
            for _ in range(5):
                person.answer("1")
                person.answer("2")
            for mode in "acr":
                person.press(mode)
                time.sleep(0.3)
                width = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
                assert person.ask(width) <= 390
            person.press("?")
            assert (
                person.ask("document.querySelector('#help').getBoundingClientRect().right") <= 390
            )
            person.press(Keys.ESCAPE)
            # What fingers need is large enough.
            person.press("a")
            person.wait("document.querySelectorAll('.option').length === 11")
            touched = "[...document.querySelectorAll('.option, #actions button')]"
            assert min(person.ask(f"{touched}.map((one) => one.offsetHeight)")) >= 40
        finally:
            driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_digits_are_on_their_own_keys(driver, folder):
    images, truth = digits(100)
    names = [*"0123456789", "none"]
    session = page_session(folder, images.reshape(100, -1), names)
    with running(session, ImageArrays(images)) as url:
        person = Person(driver, url)
        rows = []
        for _ in range(15):  # until there are suggestions, which change the order
            rows.append(person.row)
            person.answer(str(truth[person.row]))
        person.settle()
        assert all(session.y[row] == names[truth[row]] for row in rows)
        assert person.key_of("none") is None  # so that it is found by its name
        row = person.row
        person.see()
        person.press("/no")
        person.press(Keys.ENTER)
        person.change(row)
        person.settle()
        assert session.y[row] == "none"
        person.ask("document.getElementById('order').click()")
        shown = "[...document.querySelectorAll('.option .name')].map((one) => one.textContent)"
        assert person.ask(shown) == names  # fixed order


def test_every_control_has_a_name_and_colors_follow(driver, folder):
    images, _ = digits(100)
    session = page_session(folder, images.reshape(100, -1), NAMES)
    with running(session, ImageArrays(images)) as url:
        person = Person(driver, url)
        assert person.key_of(NAMES[9]) == "0"
        nameless = """[...document.querySelectorAll('button, input, select, summary')]
            .filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim()
            || one.labels?.[0]?.textContent.trim())).map((one) => one.outerHTML)"""
        assert person.ask(nameless) == []
        assert person.ask("document.querySelector('[aria-live=polite]') !== null")
        assert person.ask("document.documentElement.lang") == "en"
        color = "getComputedStyle(document.body).backgroundColor"
        light = person.ask(color)
        media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        dark = person.ask(color)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        assert light != dark
        driver.find_element(By.ID, "theme").click()
        assert person.ask(color) == dark
        person.reload()
        assert person.ask(color) == dark
        # With Tab one reaches the answers, and sees where one is.
        for _ in range(40):
            person.press(Keys.TAB)
            if person.ask("document.activeElement.classList.contains('option')"):
                break
        assert person.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        before = person.row
        person.see()
        person.press(Keys.ENTER)
        person.wait(f"document.body.dataset.row !== '{before}'")


INTENTS = [
    f"{verb}_{thing}"
    for verb in ("lost", "activate", "pending", "wrong", "cancel", "about", "declined")
    for thing in (
        "card",
        "transfer",
        "top_up",
        "refund",
        "pin",
        "fee",
        "account",
        "exchange_rate",
        "atm",
        "passcode",
        "limit",
    )
]


def test_texts_with_77_classes(driver, folder):
    rng = np.random.default_rng(0)
    truth = rng.integers(len(INTENTS), size=400)
    fill = ["please", "hello", "today", "my", "I", "need", "help", "why", "is", "it"]
    texts = [
        f"{' '.join(rng.choice(fill, 4))} {INTENTS[label].replace('_', ' ')} "
        f"{' '.join(rng.choice(fill, 3))} {number} {SCRIPT}"
        for number, label in enumerate(truth)
    ]
    student = make_pipeline(TfidfVectorizer(), MultinomialNB(alpha=0.1))
    session = page_session(folder, texts, INTENTS, student)
    assert len(INTENTS) == 77
    with running(session, Texts(texts)) as url:
        person = Person(driver, url)
        for number in range(12):
            row = person.row
            name = INTENTS[truth[row]]
            person.see()
            if number % 2:
                person.press("/")
                person.press(name)
            else:  # a letter begins the search, unless it is a command
                person.press(name[0] if name[0] in "ldwi" else "/")
                person.press(name.replace("_", " ") if name[0] not in "ldwi" else name[1:])
            person.press(Keys.ENTER)
            person.wait(f"document.body.dataset.row !== '{row}'")
            person.settle()
            assert session.y[row] == name
        assert SCRIPT in person.ask("document.querySelector('#item .text').textContent")
        # Words of suggested classes are marked; of an audit question there are none.
        person.wait("page.current.suggestions.length || page.current.source === 'audit'")
        words = person.ask("[...document.querySelectorAll('#item mark')].map((m) => m.textContent)")
        named = " ".join(name for name, _ in person.ask("page.current.suggestions")).split("_")
        assert set(words) <= set(" ".join(named).split())
        assert person.ask(
            "marked('Cards & <b>card</b>, cardiac', {suggestions: [['lost_card', 1]]})"
            ".map((part) => part.outerHTML ?? part)"
        ) == [
            "",
            "<mark>Cards</mark>",
            " & <",
            "b",
            ">",
            "<mark>card</mark>",
            "</",
            "b",
            ">, ",
            "cardiac",
            "",
        ]
        assert person.ask("document.querySelector('#item img')") is None
        row = person.row
        person.see()
        person.press("/")
        person.press("card")
        names = person.ask(
            "[...document.querySelectorAll('.option .name')].map((one) => one.textContent)"
        )
        assert sorted(names) == sorted(name for name in INTENTS if "card" in name)
        person.press(Keys.ARROW_DOWN + Keys.ENTER)
        person.wait(f"document.body.dataset.row !== '{row}'")
        person.settle()
        assert session.y[row] == names[1]
        person.press("u")
        person.wait(f"document.body.dataset.row === '{row}'")
        assert person.complaints() == []


def test_a_table(driver, folder):
    from sklearn.datasets import load_iris

    X, truth = load_iris(return_X_y=True)
    names = ["setosa", "versicolor", "virginica"]
    columns = ["sepal length (cm)", SCRIPT, "petal length (cm)", "petal width (cm)"]
    session = page_session(folder, X, names)
    with running(session, TableRows(X, columns)) as url:
        person = Person(driver, f"{url}&annotator=ann")
        assert (
            person.ask("[...document.querySelectorAll('#item dt')].map((one) => one.textContent)")
            == columns
        )
        for _ in range(12):
            row = person.row
            values = person.ask(
                "[...document.querySelectorAll('#item dd')].map((one) => one.textContent)"
            )
            assert values == [f"{value:.6g}" for value in X[row]]
            person.tell(names[truth[row]])
        person.settle()
        assert session.agreement()["labels"] == {"ann": 12}
        person.wait("document.body.dataset.student === 'ready'")
        person.press("c")
        n = person.wait("document.querySelectorAll('.tile').length")
        time.sleep(0.5)
        person.press(Keys.ENTER)
        person.wait("document.getElementById('toast').textContent.includes('labels')")
        person.settle()
        assert session.progress(fresh=False)["labels"] == 12 + n
        assert person.complaints() == []


def test_a_sound(driver, folder):
    rows = []
    for number in range(12):
        rows.append(f"{folder}/{number} {'<b>'}.wav")
        with wave.open(rows[-1], "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            tone = 8000 * np.sin(np.arange(4000) * (0.1 + number / 40))
            file.writeframes(tone.astype("<i2").tobytes())
    with open(rows[0], "wb") as file:
        file.write(b"no sound")
    ids = [f"sound {number}" for number in range(12)]
    X = np.arange(24.0).reshape(12, 2)
    session = page_session(folder, X, ["low", "high"], ids=ids, audit=0)
    with running(session, SoundFiles(rows)) as url:
        person = Person(driver, url)
        broken = False
        for _ in range(12):
            row = person.row
            if row:
                person.wait("document.querySelector('audio').readyState >= 1")
                assert person.ask("document.querySelector('audio').duration") == 0.5
                assert person.text("caption") == f"{row} <b>.wav"
            else:
                broken = person.wait("document.querySelector('#item .note.bad')")
            person.see()
            person.press("1" if row else "x")
            person.wait(f"document.body.dataset.row !== '{row}'")
        assert broken
        person.settle()
        assert (session.y == "low").sum() == 11
        person.wait("document.getElementById('item').textContent.includes('All items are')")
