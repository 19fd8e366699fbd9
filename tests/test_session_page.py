"""What a page needs of a session: calls that may come twice, and a look that draws nothing."""

import numpy as np
import pytest
from session_tools import CLASSES, answer, blobs, open_session
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from skactivekd import LabelingSession

X, TRUTH = blobs()


@pytest.fixture
def session(memory_path):
    with_session = open_session(memory_path)
    yield with_session
    with_session.close()


def kinds(session):
    return [event.kind for event in session._journal.read() if event.kind not in ("asked", "class")]


def test_a_call_of_one_name_counts_once(session):
    for _ in range(2):
        session.tell(0, "ant", uid="a")
        session.tell(1, "bee", uid="b")
        session.skip(2, uid="c")
        session.reject(3, uid="d")
        session.relabel(1, "cow", uid="e")
        session.add_class("dog", uid="f")
    assert kinds(session) == ["opened", "answered", "answered", "skipped", "rejected", "answered"]
    assert session.undo(uid="g") == [1]
    assert session.undo(uid="g") == []
    assert session.y[1] == "bee"
    for _ in range(2):
        session.accept([4, 5, 6], wrong=[5], class_="ant", uid="h")
    assert kinds(session)[-3:] == ["answered", "denied", "answered"]
    assert session.y[[4, 5, 6]].tolist() == ["ant", -1, "ant"]


def test_the_name_of_a_call_outlives_a_kill(session):
    session.tell(0, "ant", uid="a")
    session.tell(0, "bee")
    session.close()
    again = open_session("/", X, name=session.journal)
    again.tell(0, "ant", uid="a")  # sent again by who never heard of the first
    assert again.y[0] == "bee"


@pytest.mark.parametrize("uid", [3, "", b"a"])
def test_what_is_no_name_of_a_call(session, uid):
    with pytest.raises(TypeError, match="uid must be a text"):
        session.tell(0, "ant", uid=uid)
    assert session.y[0] == -1


def test_waiting_draws_nothing(session):
    assert session.waiting() == []
    asked = session.ask(3)
    assert session.waiting() == asked
    session.tell(asked[0], "ant")
    assert session.waiting() == asked[1:]
    assert session.waiting(annotator="ben") == []
    session.undo()
    assert session.waiting() == asked


def test_history_is_what_holds(session):
    session.tell(0, "ant")
    session.skip(1)
    session.tell(2, "bee", annotator="ben")
    session.reject(3)
    session.tell(0, "cow")
    found = [(entry["index"], entry["kind"], entry["label"]) for entry in session.history()]
    assert found == [(0, "answered", "cow"), (3, "rejected", None), (1, "skipped", None)]
    assert [entry["index"] for entry in session.history(1)] == [0]
    assert [entry["index"] for entry in session.history(annotator="ben")] == [2]
    session.undo()
    assert [entry["label"] for entry in session.history()] == [None, None, "ant"]
    assert session.row_of(session.history()[2]["key"]) == 0
    with pytest.raises(KeyError):
        session.row_of("array-of-nothing")


def test_confirmable_counts_what_confirm_shows(session):
    nothing = [{"class": name, "rows": 0, "sure": 0} for name in CLASSES]
    assert session.confirmable() == nothing
    answer(session, TRUTH, 12)
    session.ask(4)
    session.fit()
    assert sum(counts["rows"] for counts in session.confirmable()) > 50
    for _ in range(2):
        for counts in session.confirmable():
            shown = session.confirm(counts["class"], 1000)
            assert counts["rows"] == len(shown)
            sure = [question for question in shown if question.suggestions[0][1] >= 0.9]
            assert counts["sure"] == len(sure)
        session.accept(shown[:6], wrong=shown[:2])  # which are not shown for this class again
        session.fit()
    session.add_class("dog")
    assert session.confirmable()[-1] == {"class": "dog", "rows": 0, "sure": 0}


def test_a_conflict_that_was_reviewed_says_so(session):
    session.tell(0, "ant", annotator="ann")
    session.tell(0, "bee", annotator="ben")
    assert [entry["reviewed"] for entry in session.agreement()["conflicts"]] == [False]
    session.relabel(0, "bee", annotator="ann")
    session.tell(0, "ant", annotator="ben")
    [conflict] = session.agreement()["conflicts"]
    assert conflict["reviewed"]
    assert conflict["label"] == "bee"
    assert np.sum(session.y == "bee") == 1


@pytest.mark.thorough
def test_a_thousand_digits_take_few_clicks(tmp_path):
    """40 answers, then grids: a click for each wrong one, and one for each grid."""
    X, y = load_digits(return_X_y=True)
    student = LogisticRegression(C=0.01, max_iter=500)
    session = LabelingSession(
        student, X, classes=range(10), journal=tmp_path / "labels.sqlite", refit=False
    )
    clicks = labels = 0
    while labels < 1000 and clicks <= 150:
        session.fit()
        sure = max(session.confirmable(), key=lambda counts: counts["sure"])
        if clicks < 40 or not sure["sure"]:
            for question in session.ask(5):
                session.tell(question, int(y[question.index]))
                clicks += 1
        else:
            grid = session.confirm(sure["class"], min(40, sure["sure"]))
            wrong = [question for question in grid if y[question.index] != sure["class"]]
            session.accept(grid, wrong)
            clicks += len(wrong) + 1
        labels = session.progress(fresh=False)["labels"]
    said = session.y
    session.close()
    assert labels >= 1000
    assert np.mean(said[said != -1] != y[said != -1]) <= 0.005
