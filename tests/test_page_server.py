"""What the page's server keeps: every answer once, on disk before the reply."""

import io
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from uuid import uuid4

import httpx2
import numpy as np
import pandas as pd
import pytest
from page_tools import TOKEN, Client, digits, page_session
from session_tools import quick_folder

from skactivekd import DHOClassifier, DHONet
from skactivekd.app import (
    ImageArrays,
    ImageFiles,
    Items,
    SoundFiles,
    TableRows,
    Texts,
    make_app,
    serve,
)

KILLS = int(os.environ.get("SKACTIVEKD_KILLS", "6"))
IMAGES, TRUTH = digits(300)
CLASSES = [str(digit) for digit in range(10)]
X = IMAGES.reshape(len(IMAGES), -1)


@pytest.fixture
def opened(tmp_path):
    """Open sessions and applications on one journal, and close them at the end."""
    made = []

    def open_app(X=X, classes=CLASSES, items=None, **settings):
        session = page_session(tmp_path, X, classes, **settings)
        items = ImageArrays(IMAGES) if items is None else items
        app = make_app(session, items=items, title="Digits", token=TOKEN, guideline="Look well.")
        made.append(app.state.live)
        return app, session

    yield open_app
    for live in made:
        live.stop()
        live.session.close()


def events(session, kind):
    return [event for event in session._journal.read() if event.kind == kind]


def test_an_answer_is_on_disk_before_the_reply(opened):
    app, session = opened()
    client = Client(app)
    question = client.question()
    assert client.tell(question, "3", seconds=2.5).json()["questions"]
    db = sqlite3.connect(session.journal)
    data = db.execute("SELECT data FROM event WHERE kind = 'answered'").fetchall()
    assert len(data) == 1
    assert '"label": "3"' in data[0][0]
    assert '"seconds": 2.5' in data[0][0]


def test_the_same_answer_twice_counts_once(opened):
    app, session = opened()
    client, uid = Client(app), uuid4().hex
    first = client.question()
    for _ in range(3):
        assert client.tell(first, "3", uid=uid).status_code == 200
    second = client.question()
    client.tell(second, "4")
    assert client.tell(first, "3", uid=uid).status_code == 200  # a reply was lost long ago
    assert len(events(session, "answered")) == 2
    for _ in range(2):
        reply = client.post("undo", uid="1" * 32)
    assert reply.json()["undone"] == []
    assert session.y[first["index"]] == "3"
    assert session.y[second["index"]] == -1
    for _ in range(2):
        client.post("class", uid="2" * 32, name="ten")
    assert client.get("state").json()["classes"][-1] == "ten"
    again, _ = opened()  # in another process, after a kill
    reply = Client(again).post("undo", uid="1" * 32)
    assert reply.json()["undone"] == []
    assert session.y[first["index"]] == "3"


def test_a_reload_shows_the_same_question(opened):
    app, _ = opened()
    client = Client(app)
    first = client.questions()
    assert client.questions() == first
    client.tell(first[0], "1")
    left = [question["key"] for question in client.questions()]
    assert left[0] == first[1]["key"] != first[0]["key"]
    client.post("undo")
    assert client.question()["key"] == first[0]["key"]


def test_skip_bad_item_undo_and_history(opened):
    app, session = opened()
    client = Client(app)
    said = []
    for kind in ("skip", "reject", "tell"):
        question = client.question()
        client.post("answer", kind=kind, key=question["key"], label="5", seconds=1)
        said.append(question["key"])
    history = client.get("state").json()["history"]
    assert [entry["key"] for entry in history] == said[::-1]
    assert [entry["kind"] for entry in history] == ["answered", "rejected", "skipped"]
    client.post("answer", kind="tell", key=said[0], label="7")  # any answer can be changed
    history = client.get("state").json()["history"]
    assert [entry["label"] for entry in history] == ["7", "5", None]
    assert session.y[session.row_of(said[0])] == "7"
    client.post("undo")
    assert client.get("state").json()["history"][-1]["kind"] == "skipped"


def label_all(client, n):
    for _ in range(n):
        question = client.question()
        client.tell(question, CLASSES[TRUTH[question["index"]]])


def wait_for(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_confirm_and_review(opened):
    app, session = opened()
    client = Client(app)
    assert client.get("confirm", n=9, **{"class": 3}).json()["questions"] == []
    label_all(client, 40)
    wait_for(lambda: client.get("state").json()["student"] == "ready")
    state = client.get("state").json()
    best = int(np.argmax([entry["rows"] for entry in state["sure"]]))
    grid = client.get("confirm", n=9, **{"class": best}).json()["questions"]
    keys = [question["key"] for question in grid]
    before = client.get("state").json()["progress"]["labels"]
    fields = {"class": CLASSES[best], "keys": keys, "wrong": keys[:2], "seconds": 3}
    uid = uuid4().hex
    for _ in range(2):
        assert client.post("accept", uid=uid, **fields).status_code == 200
    progress = client.get("state").json()["progress"]
    assert progress["labels"] == before + len(keys) - 2
    assert progress["by_source"]["confirm"] == len(keys) - 2
    again = client.get("confirm", n=9, **{"class": best}).json()["questions"]
    assert not set(keys) & {question["key"] for question in again}
    wrong = keys[2]
    other = CLASSES[(best + 1) % 10]
    client.post("answer", kind="tell", key=wrong, label=other)

    def found():
        reply = client.get("review").json()
        return [question for question in reply["questions"] if question["key"] == wrong]

    [question] = wait_for(found)
    assert question["label"] == other
    client.post("answer", kind="relabel", key=wrong, label=CLASSES[best])
    assert session.y[question["index"]] == CLASSES[best]
    assert not found()


def test_conflicts_of_persons_are_reviewed(opened):
    app, session = opened()
    ann, ben = Client(app, "ann"), Client(app, "ben")
    question = ann.question()
    ann.tell(question, "1")
    ben.tell(question, "2")
    reply = ben.get("review").json()
    assert [entry["said"] for entry in reply["questions"]] == [{"ann": "1", "ben": "2"}]
    assert ben.get("state").json()["review"] == 1
    ben.post("answer", kind="relabel", key=question["key"], label="1")
    assert session.y[question["index"]] == "1"
    assert ben.get("state").json()["review"] == 0


def test_figures_come_by_themselves(opened):
    app, _ = opened()
    client = Client(app)
    label_all(client, 40)
    accuracy = wait_for(lambda: client.get("state").json()["progress"]["accuracy"])
    assert accuracy["n"] >= 3
    assert client.get("state").json()["progress"]["curve"]


def test_audit_questions_have_no_suggestions(opened):
    app, _ = opened(audit=0.5)
    client = Client(app)
    label_all(client, 20)
    sources = {question["source"]: question for question in client.questions()}
    assert sources["audit"]["suggestions"] == []


def test_two_browsers_and_two_processes_on_one_journal(opened):
    app, session = opened(X[:60])
    other, _ = opened(X[:60])
    told, lock = [], threading.Lock()

    def work(client):
        while not (state := client.get("state").json())["done"]:
            for question in state["questions"][:1]:
                label = CLASSES[TRUTH[question["index"]]]
                assert client.tell(question, label).status_code == 200
                with lock:
                    told.append(question["key"])

    clients = [Client(app, "ann"), Client(app, "ann"), Client(app, "ben"), Client(other, "cid")]
    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert [CLASSES.index(label) for label in session.y] == TRUTH[:60].tolist()
    answered = [event.item for event in events(session, "answered")]
    assert sorted(answered) == sorted(told)
    by_ann = [event.item for event in events(session, "answered") if event.annotator == "ann"]
    assert len(by_ann) == len(set(by_ann))  # two browsers of one name share its questions
    assert set(session.agreement()["labels"]) == {"ann", "ben", "cid"}


def test_a_full_disk_is_a_sentence_and_loses_nothing(opened):
    app, session = opened()
    client = Client(app)
    question = client.question()
    client.tell(question, "1")
    pages = session._journal._db.execute("PRAGMA page_count").fetchone()[0]
    session._journal._db.execute(f"PRAGMA max_page_count = {pages}")
    said, n_kept = [], 0
    for row in range(100, 200):
        reply = client.post("answer", kind="tell", key=session._pool.keys[row], label="1")
        if reply.status_code == 200:
            n_kept += 1
        else:
            said.append((reply.status_code, reply.json()["error"]))
    assert said
    assert said[0][0] == 507
    assert "is full; the answer was not kept" in said[0][1]
    session._journal._db.execute("PRAGMA max_page_count = 1000000")
    reply = client.post("answer", kind="tell", key=session._pool.keys[250], label="1")
    assert reply.status_code == 200
    assert int((session.y != -1).sum()) == n_kept + 2


def test_a_journal_that_may_not_be_written_is_a_sentence(opened, monkeypatch):
    app, session = opened()
    client = Client(app)
    question = client.question()
    os.rename(session.journal, session.journal + ".away")
    reply = client.tell(question, "1")
    assert reply.status_code == 507
    assert "was removed or replaced" in reply.json()["error"]
    os.rename(session.journal + ".away", session.journal)
    assert client.tell(question, "1").status_code == 200


def test_a_fit_that_fails_is_said_and_labeling_goes_on(opened, monkeypatch):
    app, session = opened()
    client = Client(app)

    def refuse():
        raise ValueError("The student has no legs.")

    monkeypatch.setattr(session, "fit", refuse)
    label_all(client, 3)
    state = wait_for(lambda: (state := client.get("state").json())["student"] == "failed" and state)
    assert state["errors"] == ["The student has no legs."]
    label_all(client, 1)
    assert client.get("state").json()["progress"]["labels"] == 4


def test_the_page_says_that_the_first_student_still_learns(opened, monkeypatch):
    app, session = opened()
    client, fit, go = Client(app), session.fit, threading.Event()
    monkeypatch.setattr(session, "fit", lambda: go.wait(30) and fit())

    def grid():
        return client.get("confirm", n=9, **{"class": 0}).json()

    assert "answer some items first" in grid()["note"]
    label_all(client, 3)
    state = client.get("state").json()
    assert (state["student"], state["first"]) == ("fitting", True)
    assert "still learning" in grid()["note"]
    go.set()
    state = wait_for(lambda: (state := client.get("state").json())["student"] == "ready" and state)
    assert state["first"] is False
    assert "note" not in grid()


def test_the_end_gives_up_a_training(opened):
    student = DHOClassifier(DHONet(max_epochs=10**7, module__hidden=4), random_state=0)
    app, session = opened(estimator=student)
    client = Client(app)
    label_all(client, 3)
    wait_for(lambda: client.get("state").json()["first"])
    app.state.live.stop()
    assert not any(thread.is_alive() for thread in app.state.live._threads)
    assert session.model is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_the_page_serves_and_says_where(tmp_path, monkeypatch, capsys, host):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    session = page_session(tmp_path, X, CLASSES)

    def end(url):
        address.append(url)
        for _ in range(2):  # by Ctrl-C, and once more by who cannot wait
            signal.raise_signal(signal.SIGINT)

    address, remote = [], host == "0.0.0.0"
    try:
        settings = {"host": host, "allow_remote": remote, "open_browser": not remote}
        serve(session, items=ImageArrays(IMAGES), title="T", ready=end, **settings)
    except OSError:
        pytest.skip("there is no IPv6")
    said, err = capsys.readouterr()
    assert address[0] in said
    assert "Traceback" not in err
    assert ("Other machines can reach 0.0.0.0" in said) is remote
    assert "[::1]" in address[0] or host != "::1"
    wait_for(lambda: opened == ([] if remote else address))
    session.close()


def test_examples_are_spread_and_rows_that_cannot_be_shown_say_so(opened):
    class Shy(Texts):
        def show(self, index):
            if index == 3:
                raise OSError(5, "no such thing")
            return super().show(index)

    app, session = opened(X=[f"text {n}" for n in range(300)], items=Shy(["x"] * 300))
    for row in range(40):
        session.tell(row, "2")
    shown = app.state.live.examples("2")
    assert len(shown) == 8
    assert shown[-1]["index"] == 39
    assert app.state.live.example(3)["show"] == {"error": "no such thing."}


def test_tables_without_names_are_shown_and_kinds_of_items_are_told():
    assert TableRows(np.eye(2)).show(1) == {
        "columns": ["column 1", "column 2"],
        "values": ["0", "1"],
    }
    with pytest.raises(ValueError, match="names 1 of 2 columns"):
        TableRows(np.eye(2), columns=["a"])
    with pytest.raises(ValueError, match="ending that is none of a sound"):
        SoundFiles(["a.txt"]).media(0)
    with pytest.raises(ValueError, match=r"cannot be read: gone\.wav"):
        SoundFiles(["gone.wav"]).media(0)
    with pytest.raises(NotImplementedError):
        Items().show(0)


def test_a_class_that_differs_in_case_alone_is_there_already(opened):
    app, session = opened(classes=["Cat", "dog"])
    client = Client(app)
    assert "a class 'Cat' already" in client.post("class", name="cat").json()["error"]
    assert session.classes == ["Cat", "dog"]
    assert client.post("class", name="bird").json()["name"] == "bird"


def test_classes_that_are_numbers_stay_numbers(opened):
    app, session = opened(classes=range(10))
    client = Client(app)
    assert client.post("class", name="11").json()["name"] == 11
    assert client.post("class", name="11").status_code == 200  # by somebody else, at once
    for name in ("eleven", "1_2"):
        assert "numbers" in client.post("class", name=name).json()["error"]
    for name in ("a" * 300, "a\x00b"):
        assert "up to 200 printable" in client.post("class", name=name).json()["error"]
    client.tell(client.question(), 11)
    assert session.classes[-1] == 11


def test_examples_and_guideline(opened):
    app, session = opened()
    client = Client(app)
    session.tell(5, "2")
    assert client.get("start").json()["guideline"] == "Look well."
    [example] = client.get("examples", **{"class": 2}).json()["examples"]
    assert example["index"] == 5
    assert client.get("item", index=5).json()["show"] == {"name": "row 5"}
    assert client.get("item", index=6, key=session._pool.keys[6]).status_code == 200
    # A page that was opened before the pool grew: the number is another row's now.
    for key in (session._pool.keys[6], "array-0"):
        assert "The pool has changed" in client.get("item", index=5, key=key).json()["error"]
        for kind in ("media", "thumbnail"):
            reply = client.http.get(f"/{kind}/5", params={"k": key})
            assert (reply.status_code, list(reply.json())) == (422, ["error"])


def test_finishing_calls_back(tmp_path):
    session = page_session(tmp_path, X, CLASSES)
    app = make_app(
        session, items=ImageArrays(IMAGES), title="T", token=TOKEN, on_finish=lambda: "Saved."
    )
    client = Client(app)
    assert client.get("start").json()["finish"]
    assert client.post("finish").json() == {"said": "Saved."}


def read_png(reply):
    from PIL import Image

    assert reply.headers["content-type"] in ("image/png", "image/jpeg")
    return Image.open(io.BytesIO(reply.content))


def test_pictures_are_upright_and_small_ones_enlarged(opened, tmp_path):
    from PIL import Image

    app, _ = opened()
    client = Client(app)
    picture = read_png(client.http.get("/media/0"))
    assert picture.size == (320, 320)
    assert read_png(client.http.get("/thumbnail/0")).size == (176, 176)
    wide = Image.fromarray(np.zeros((600, 2400, 3), dtype=np.uint8) + 90)
    exif = wide.getexif()
    exif[0x0112] = 6
    wide.save(tmp_path / "turned.jpg", exif=exif)
    items = ImageFiles([tmp_path / "turned.jpg"])
    content, kind = items.media(0)
    assert kind == "image/jpeg"
    assert Image.open(io.BytesIO(content)).size == (400, 1600)
    assert Image.open(io.BytesIO(items.thumbnail(0)[0])).size == (44, 176)
    (tmp_path / "turned.jpg").unlink()
    assert items.media(0)[0] == content  # from memory


def test_what_cannot_be_read_is_said(tmp_path, opened):
    paths = [tmp_path / name for name in ("empty.png", "text.png", "drawing.svg", "gone.png")]
    paths[0].write_bytes(b"")
    paths[1].write_text("no picture")
    paths[2].write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    paths[3].write_text("no picture either")
    rows = [str(path) for path in paths]
    app, _ = opened(rows, ["a", "b"], ImageFiles(rows), audit=0)
    paths[3].unlink()
    client = Client(app)
    for index, said in enumerate(["empty", "text.png", "drawing.svg", "no such file"]):
        reply = client.http.get(f"/media/{index}")
        assert reply.status_code == 422
        assert "cannot be read" in reply.json()["error"]
        assert said in reply.json()["error"]
    question = client.question()
    assert client.post("answer", kind="reject", key=question["key"]).status_code == 200


def test_sounds_can_be_sought_in(tmp_path, opened):
    path = tmp_path / "beep.wav"
    path.write_bytes(bytes(range(100)))
    (tmp_path / "page.html").write_text("<script>1</script>")
    rows = [str(path), str(tmp_path / "page.html")]
    app, _ = opened(rows, ["a", "b"], SoundFiles(rows), audit=0)
    client = Client(app)
    reply = client.http.get("/media/0", headers={"Range": "bytes=10-19"})
    assert (reply.status_code, reply.content) == (206, bytes(range(10, 20)))
    assert reply.headers["content-range"] == "bytes 10-19/100"
    assert client.http.get("/media/0", headers={"Range": "bytes=500-"}).status_code == 416
    assert client.http.get("/media/0").content == bytes(range(100))
    assert client.http.get("/media/1").status_code == 422


def test_tables_and_texts_as_they_are():
    table = pd.DataFrame({"width": [1.25, np.nan], "name": ["a", None], "n": [3, 4]}, index=[7, 9])
    rows = TableRows(table)
    assert rows.show(0) == {"columns": ["width", "name", "n"], "values": ["1.25", "a", "3"]}
    assert rows.show(1)["values"] == ["", "", "4"]
    with pytest.raises(ValueError, match="columns names 1 of 3"):
        TableRows(table, columns=["one"])
    with pytest.raises(ValueError, match="shape"):
        TableRows([1, 2])
    with pytest.raises(ValueError, match="shape"):
        ImageArrays(np.zeros((3, 64)))
    assert Texts(pd.Series(["a", "b"], index=[5, 6])).show(1) == {"text": "b"}
    with pytest.raises(ValueError, match="no file"):
        Texts(["a"]).media(0)


# One process imports everything once and forks servers, which are killed at random moments.
PROGRAM = """
import os, signal, sys
from page_tools import digits, page_session
from skactivekd.app import ImageArrays, serve
images, _ = digits(300)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leave no zombies
print("ready", flush=True)
for line in sys.stdin:
    folder = line.strip()
    if not os.fork():
        out = sys.stdout
        sys.stdout = open(folder + "/printed", "w")
        session = page_session(folder, images.reshape(len(images), -1), list("0123456789"))
        say = lambda *words: print(os.getpid(), *words, file=out, flush=True)
        serve(session, items=ImageArrays(images), title="T", open_browser=False, ready=say)
        say("ended", sys.getswitchinterval())
        os._exit(0)
"""


@pytest.fixture(scope="module")
def server():
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, env=environment, **pipes) as server:
        assert server.stdout.readline() == "ready\n"
        yield server
        server.stdin.close()


def start(server, folder):
    print(folder, file=server.stdin, flush=True)
    pid, url = server.stdout.readline().split()
    return int(pid), url


def test_a_killed_server_loses_no_answer_that_was_confirmed(server):
    rng = random.Random(0)
    folder = quick_folder()
    kept, expected, unsure = {}, None, None
    for _ in range(KILLS):
        if len(kept) > 200:  # begin again, before nothing is left to ask
            folder.cleanup()
            folder, kept, expected, unsure = quick_folder(), {}, None, None
        pid, url = start(server, folder.name)
        killer = threading.Timer(rng.uniform(0.02, 0.8), os.kill, (pid, signal.SIGKILL))
        killer.start()
        address, who = url.split("/?")[0], {"annotator": "ann", "browser": "b"}
        try:
            with httpx2.Client(base_url=address, headers={"Origin": address}) as http:
                http.get("/", params={"token": url.split("token=")[1]})
                if unsure:  # the page sends again what was not confirmed
                    reply = http.post("/api/answer", json=unsure)
                    assert reply.status_code == 200
                    kept[unsure["key"]], unsure = unsure["label"], None
                while True:
                    questions = http.get("/api/state", params=who).json()["questions"]
                    if not questions:
                        continue
                    question = questions[0]
                    if expected is not None:
                        assert question["key"] == expected
                    expected = question["key"]
                    label = CLASSES[TRUTH[question["index"]]]
                    unsure = {"id": uuid4().hex, "kind": "tell", "key": expected, "label": label}
                    unsure |= who
                    reply = http.post("/api/answer", json=unsure).json()
                    kept[expected], unsure = label, None
                    expected = reply["questions"][0]["key"] if reply["questions"] else None
        except httpx2.TransportError:
            pass
        finally:
            killer.join()
        if unsure:
            expected = None  # it may have been kept or not
        with sqlite3.connect(f"{folder.name}/labels.sqlite") as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()
        session = page_session(folder.name, X, CLASSES)
        assert all(session.y[session.row_of(key)] == label for key, label in kept.items())
        answered = [event.item for event in events(session, "answered")]
        assert len(answered) == len(set(answered)) <= len(kept) + 1
        session.close()
    assert kept
    folder.cleanup()


def test_serving_says_where_and_ends_when_interrupted(server, tmp_path):
    pid, url = start(server, tmp_path)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{32}", url)
    printed = (tmp_path / "printed").read_text()
    assert url in printed
    assert "Ctrl-C" in printed
    assert "not encrypted" not in printed
    assert httpx2.get(url).status_code == 200
    port = int(re.search(r":(\d+)/", url)[1])
    session = page_session(tmp_path, X, CLASSES)
    with pytest.raises(OSError, match=f"Port {port} of 127.0.0.1 is taken"):
        serve(session, items=ImageArrays(IMAGES), title="T", port=port, open_browser=False)
    with pytest.raises(ValueError, match="from 0 to 65535"):
        serve(session, items=ImageArrays(IMAGES), title="T", port=70000, open_browser=False)
    session.close()
    os.kill(pid, signal.SIGINT)
    assert server.stdout.readline().split() == [str(pid), "ended", "0.005"]


def test_serving_ends_where_a_person_finishes(server, tmp_path):
    pid, url = start(server, tmp_path)
    with httpx2.Client(base_url=url.split("/?")[0], headers={"Origin": url.split("/?")[0]}) as http:
        http.get("/", params={"token": url.split("token=")[1]})
        assert http.get("/api/start").json()["finish"]
        said = http.post("/api/finish", json={}).json()["said"]
    assert said == f"0 items are labeled. All answers are in {tmp_path / 'labels.sqlite'}."
    assert server.stdout.readline().split() == [str(pid), "ended", "0.005"]


def test_the_page_is_packaged():
    from importlib.resources import files

    names = {path.name for path in files("skactivekd.app").joinpath("static").iterdir()}
    assert names == {"page.html", "page.css", "page.js"}
    if shutil.which("node"):
        page = files("skactivekd.app").joinpath("static", "page.js")
        subprocess.run(["node", "--check", str(page)], check=True)
