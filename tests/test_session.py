"""Asking and answering: what comes next, what counts, and what is refused."""

import json
import threading

import numpy as np
import pytest
from session_tools import CLASSES, answer, blobs, open_session
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading

from skactivekd import (
    DHOClassifier,
    DHONet,
    Entropy,
    LabeledOnly,
    LabelingSession,
    Random,
    TeacherProba,
)
from skactivekd.session._journal import Journal

X, TRUTH = blobs()


@pytest.fixture
def session(memory_path):
    with_session = open_session(memory_path)
    yield with_session
    with_session.close()


def resume(session, **settings):
    session.close()
    return open_session("/", X, name=session.journal, **settings)


def test_a_question_stays_until_it_is_answered(session):
    [first] = session.ask()
    assert session.ask() == [first]
    three = session.ask(3)
    assert three[0] == first
    assert len({question.key for question in three}) == 3
    session.tell(three[1], "bee")
    assert session.ask(2) == [three[0], three[2]]


def test_after_reopening_the_same_questions_come(session):
    answer(session, TRUTH, 12)
    pending = session.ask(2)
    again = resume(session)
    assert again.ask(2) == pending
    np.testing.assert_array_equal(again.y, session.y)


def test_what_is_drawn_follows_from_the_answers(memory_path):
    runs = []
    for name in ("one", "two"):
        session = open_session(memory_path, name=name)
        asked = answer(session, TRUTH, 10)
        if name == "two":
            session = resume(session)
        runs.append([question.index for question in asked + answer(session, TRUTH, 15)])
    assert runs[0] == runs[1]


def test_every_item_is_asked_once(memory_path):
    session = open_session(memory_path, X[:25])
    asked = answer(session, TRUTH, 30)
    assert sorted(question.index for question in asked) == list(range(25))
    assert session.ask() == []
    assert session.progress()["stop"]
    assert session.progress()["left"] == 0


def test_labels_and_y(session):
    session.tell(3, "cow")
    session.tell(np.int64(4), np.str_("ant"))
    assert session.y.dtype == object
    assert session.y[3] == "cow"
    assert session.y[4] == "ant"
    assert (session.y == -1).sum() == len(X) - 2
    session.tell(3, "bee")
    assert session.y[3] == "bee"


def test_integer_classes_give_integers(memory_path):
    session = open_session(memory_path, classes=range(3))
    session.tell(0, 2)
    assert session.y.dtype == np.int64
    assert session.y[0] == 2


@pytest.mark.parametrize(
    ("label", "match"),
    [("cows", "Did you mean 'cow'"), (1, "none of the classes"), (None, "none"), ("", "none")],
)
def test_labels_outside_the_classes(session, label, match):
    [question] = session.ask()
    with pytest.raises(ValueError, match=match):
        session.tell(question, label)
    assert session.ask() == [question]
    assert session.progress(fresh=False)["labels"] == 0


def test_a_number_is_not_the_word_for_it(memory_path):
    session = open_session(memory_path, classes=range(3))
    with pytest.raises(ValueError, match="Did you mean 1"):
        session.tell(0, "1")
    with pytest.raises(ValueError, match="none of the classes"):
        session.tell(0, True)


@pytest.mark.parametrize("index", [120, -1])
def test_rows_that_there_are_not(session, index):
    with pytest.raises(IndexError, match="0 to 119"):
        session.tell(index, "ant")


@pytest.mark.parametrize("index", [True, 1.0, "1", None])
def test_what_is_no_row(session, index):
    with pytest.raises(TypeError, match="row number"):
        session.tell(index, "ant")


def test_skipped_rows_are_not_asked_again(session):
    skipped = []
    for question in session.ask(10):
        session.skip(question)
        skipped.append(question.index)
    assert len(set(skipped)) == 10
    rest = answer(session, TRUTH, 6, n_ask=20)
    assert not {question.index for question in rest} & set(skipped)
    assert session.progress(fresh=False)["skipped"] == 10
    assert len(rest) == 110


def test_rejected_rows_have_no_label_and_are_asked_of_nobody(session):
    [question] = session.ask()
    session.tell(question, "ant")
    session.reject(question.index)
    assert session.y[question.index] == -1
    others = answer(session, TRUTH, 6, n_ask=20, annotator="ben")
    assert question.index not in {other.index for other in others}
    assert session.progress(fresh=False)["rejected"] == 1


def test_undo_brings_the_question_back(session):
    asked = answer(session, TRUTH, 5)
    assert session.undo() == [asked[4].index]
    assert session.ask() == [asked[4]]
    assert session.undo() == [asked[3].index]
    assert session.ask(2) == asked[3:]
    assert (session.y != -1).sum() == 3
    again = resume(session)
    assert again.ask(2) == asked[3:]
    for _ in range(3):
        assert again.undo()
    assert again.undo() == []
    assert (again.y == -1).all()


def test_undo_of_a_change_brings_the_label_before(session):
    session.tell(0, "ant")
    session.relabel(0, "bee")
    assert session.y[0] == "bee"
    session.undo()
    assert session.y[0] == "ant"


def test_undo_of_a_skip(session):
    [question] = session.ask()
    session.skip(question)
    assert session.ask() != [question]
    session.undo()
    assert session.ask() == [question]


def test_undo_is_the_annotators_own(session):
    session.tell(0, "ant")
    session.tell(1, "ant", annotator="ben")
    session.undo()
    assert session.y[0] == -1
    assert session.y[1] == "ant"


def test_the_same_answer_twice_counts_once(session):
    [question] = session.ask()
    session.tell(question, "ant")
    session.tell(question, "ant")
    session.undo()
    assert session.y[question.index] == -1


def test_a_class_added_on_the_way(session):
    answer(session, TRUTH, 10)
    session.add_class("dog")
    session.tell(7, "dog")
    assert session.fit().model.classes_.tolist() == [*CLASSES, "dog"]
    assert resume(session).classes == [*CLASSES, "dog"]
    with pytest.raises(ValueError, match="a class 'dog' already"):
        session.add_class("dog")
    with pytest.raises(TypeError, match="all str or all int"):
        session.add_class(3)
    for name in ("", " ", "\ud800"):
        with pytest.raises(ValueError, match=r"empty|none"):
            session.add_class(name)


def test_confirm_and_accept(session):
    answer(session, TRUTH, 30)
    waiting = session.ask(3)
    grid = session.confirm("bee", 20)
    assert 0 < len(grid) <= 20
    assert not {q.key for q in grid} & {q.key for q in waiting}
    assert all(question.suggestions[0][0] == "bee" for question in grid)
    shares = [question.suggestions[0][1] for question in grid]
    assert shares == sorted(shares, reverse=True)
    wrong = [grid[0].index, grid[3]]
    session.accept(grid, wrong=wrong)
    assert all(session.y[question.index] == "bee" for question in grid[1:3] + grid[4:])
    assert session.y[grid[0].index] == -1
    shown = {question.key for question in session.confirm("bee", 200)}
    assert not shown & {question.key for question in grid}
    assert session.ask(3) == waiting
    assert session.progress(fresh=False)["by_source"]["confirm"] == len(grid) - 2
    assert sorted(session.undo()) == sorted(question.index for question in grid)
    assert all(session.y[question.index] == -1 for question in grid)
    assert {question.key for question in session.confirm("bee", 200)} >= {q.key for q in grid}


def test_accept_says_what_it_cannot_know(session):
    with pytest.raises(RuntimeError, match="label some rows first"):
        session.confirm("bee")
    with pytest.raises(ValueError, match="Row 5 is not among those"):
        session.accept([5])
    session.accept([5, 6], wrong=[6], class_="cow")
    assert session.y[5] == "cow"
    assert session.y[6] == -1
    with pytest.raises(ValueError, match="wrong has row 9"):
        session.accept([7, 8], wrong=[9], class_="cow")
    with pytest.raises(ValueError, match="none of the classes"):
        session.confirm("bees")


def test_questions_are_json(session):
    answer(session, TRUTH, 20)
    [question] = session.ask()
    assert json.loads(json.dumps(question.to_dict()))["index"] == question.index
    assert json.loads(json.dumps(session.progress()))["labels"] == 20
    assert json.loads(json.dumps(session.agreement())) == session.agreement()


def test_suggestions_come_with_their_question(session):
    answer(session, TRUTH, 8)
    [question] = session.ask()
    assert {name for name, _ in question.suggestions} == set(CLASSES)
    assert sum(share for _, share in question.suggestions) == pytest.approx(1, abs=1e-4)
    session.tell(question, "ant")
    event = session._journal.read()[-1]
    assert event.data["suggestions"] == [list(pair) for pair in question.suggestions]
    assert event.data["source"] == "strategy"


def test_time_is_kept(session):
    [question] = session.ask()
    session.tell(question, "ant", seconds=4)
    session.tell(1, "bee", seconds=2)
    session.skip(2, seconds=3)
    progress = session.progress(fresh=False)
    assert progress["minutes"] == pytest.approx(9 / 60)
    assert progress["seconds_per_label"] == 3


def test_fits_are_made_of_clones_and_only_when_needed(memory_path):
    estimator = LogisticRegression()
    session = LabelingSession(estimator, X, classes=CLASSES, journal=memory_path / "a", refit=False)
    assert session.model is None
    answer(session, TRUTH, 12)
    assert session.model is None
    first = session.fit().model
    assert session.fit().model is first
    assert session.ask()
    session.skip(50)
    assert session.fit().model is first
    session.tell(50, "ant")
    assert session.fit().model is not first
    assert not hasattr(estimator, "classes_")


@pytest.mark.parametrize(
    "strategy",
    [None, Entropy(), Random(), Random(missing_label="none"), Entropy(missing_label=None)],
)
def test_own_strategies(memory_path, strategy):
    session = open_session(memory_path, strategy=strategy)
    asked = answer(session, TRUTH, 15)
    assert len({question.index for question in asked}) == 15


def test_strategies_of_modal_and_scikit_activeml(memory_path):
    from modAL.uncertainty import margin_sampling
    from skactiveml.pool import TypiClust, UncertaintySampling

    asked = {}
    for strategy in (margin_sampling, TypiClust(), UncertaintySampling("margin_sampling")):
        name = getattr(strategy, "__name__", type(strategy).__name__)
        session = open_session(memory_path, name=name, strategy=strategy)
        asked[name] = [question.index for question in answer(session, TRUTH, 14)]
        assert len(set(asked[name])) == 14
    ours = [question.index for question in answer(open_session(memory_path), TRUTH, 14)]
    assert ours == asked["margin_sampling"]


@pytest.mark.parametrize("strategy", [Entropy, "entropy", 3])
def test_what_is_no_strategy(memory_path, strategy):
    with pytest.raises(TypeError, match="strategy"):
        open_session(memory_path, strategy=strategy)


def test_a_strategy_that_returns_nonsense(memory_path):
    session = open_session(
        memory_path, strategy=lambda learner, X_pool, n_instances: [0, 0][:n_instances]
    )
    answer(session, TRUTH, 6)
    session = open_session(memory_path, strategy=lambda learner, X_pool, n_instances: [0] * 2)
    session.tell(0, "ant"), session.tell(1, "bee")
    with pytest.raises(ValueError, match="row"):
        session.ask(2)


def test_students_that_take_unlabeled_rows(memory_path):
    proba = np.eye(3)[TRUTH] * 0.7 + 0.1
    student = DHOClassifier(DHONet(max_epochs=3, module__hidden=16))
    pipe = make_pipeline(TeacherProba(proba), student)
    session = LabelingSession(pipe, X, classes=CLASSES, journal=memory_path / "a")
    [question] = session.ask()
    assert len(question.suggestions) == 3  # the teacher's, before there is any label
    session.tell(question, "bee")
    session.add_class("dog")
    session.tell(0, "dog")
    assert session.fit().model.classes_.tolist() == [*CLASSES, "dog"]
    with pytest.raises(ValueError, match="missing_label=None"):
        LabelingSession(
            DHOClassifier(missing_label=None), X, classes=CLASSES, journal=memory_path / "b"
        )
    assert not (memory_path / "b").exists()


def test_labels_of_one_class_alone_make_no_student(memory_path):
    student = make_pipeline(
        StandardScaler(), DHOClassifier(DHONet(max_epochs=2, module__hidden=8), device="cpu")
    )
    session = LabelingSession(student, X, classes=CLASSES, journal=memory_path / "a")
    session.tell(0, "ant"), session.tell(1, "ant")
    assert session.fit().model is None  # else it is sure of "ant" everywhere
    [question] = session.ask()
    assert question.suggestions == []
    session.tell(question, "bee")
    assert session.fit().model is not None


def test_teachers_without_names_know_nothing_of_new_classes():
    from skactivekd.session._student import Student

    student = make_pipeline(
        TeacherProba(lambda X: np.tile([0.8, 0.2], (len(X), 1))),
        DHOClassifier(DHONet(max_epochs=2, module__hidden=8)),
    )
    model = Student(student, -1, 0, ["b", "a"]).fit(X, np.full(120, -1, object), ["a", "b", "c"])
    step, last = model.estimator
    np.testing.assert_array_equal(step.teacher(X[:2]), [[0.8, 0.2, 0.0]] * 2)
    assert last.classes == ["b", "a", "c"]  # its columns stay those of the teacher
    assert model.proba(X).shape == (120, 3)


def test_faults_of_a_teacher_show_at_once(memory_path):
    pipe = make_pipeline(TeacherProba(np.full((7, 3), 1 / 3)), DHOClassifier())
    with pytest.raises(ValueError, match="7 rows of probabilities for 120 rows"):
        LabelingSession(pipe, X, classes=CLASSES, journal=memory_path / "a").ask()


def test_classes_that_only_the_student_knows(memory_path):
    student = DHOClassifier(DHONet(max_epochs=2, module__hidden=8), classes=[*CLASSES, "dog"])
    session = LabelingSession(student, X, classes=CLASSES, journal=memory_path / "a")
    session.tell(0, "ant"), session.tell(1, "bee")
    with pytest.raises(ValueError, match=r"knows the classes \['dog'\]"):
        session.fit()
    with_all = LabelingSession(student, X, journal=memory_path / "b")
    assert with_all.classes == [*CLASSES, "dog"]


def test_other_markers(memory_path):
    for marker in (None, np.nan, "", -99):
        session = open_session(
            memory_path, name=repr(marker), missing_label=marker, classes=[0, 1, 2]
        )
        answer(session, TRUTH, 2, n_ask=6, names=[0, 1, 2])
        assert session.fit().model.score(X, TRUTH) > 0.5
        assert len(session.y) == 120
        np.testing.assert_equal(session.y[session.ask()[0].index], marker)


def test_texts_with_the_default_strategy(memory_path):
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = [
        f"{'red green blue'.split()[k]} {'sky sea sun'.split()[(k + j) % 3]} {j}"
        for j, k in enumerate(TRUTH)
    ]
    pipe = make_pipeline(TfidfVectorizer(), LogisticRegression())
    session = LabelingSession(pipe, words, classes=CLASSES, journal=memory_path / "a")
    answer(session, TRUTH, 3, n_ask=6)
    assert session.fit().model.score(words, np.array(CLASSES)[TRUTH]) > 0.9


def test_students_that_give_no_probabilities(memory_path):
    from sklearn.svm import LinearSVC

    with pytest.raises(TypeError, match="LinearSVC has no predict_proba"):
        LabelingSession(LinearSVC(), X, classes=CLASSES, journal=memory_path / "a")


@pytest.mark.parametrize(
    "estimator", [LabelSpreading(), make_pipeline(StandardScaler(), LogisticRegression())]
)
def test_students_of_scikit_learn(memory_path, estimator):
    session = LabelingSession(estimator, X, classes=[0, 1, 2], journal=memory_path / "a")
    answer(session, TRUTH, 12, names=[0, 1, 2])
    assert session.fit().model.predict(X).shape == (120,)


def test_a_fault_of_the_estimator_is_not_hidden(memory_path):
    session = LabelingSession(
        LogisticRegression(C=-1), X, classes=CLASSES, journal=memory_path / "a"
    )
    session.tell(0, "ant"), session.tell(1, "bee")
    with pytest.raises(ValueError, match="C"):
        session.fit()


def test_labels_beside_gaps_are_floats_and_meet_classes_by_value(memory_path):
    y = np.where(np.arange(120) < 3, TRUTH, np.nan)
    estimator = LabeledOnly(LogisticRegression(), missing_label=np.nan)
    journal, settings = memory_path / "labels.sqlite", {"missing_label": np.nan, "y": y}
    session = LabelingSession(estimator, X, journal=journal, classes=[0, 1, 2], **settings)
    np.testing.assert_array_equal(session.y, y)
    [question] = session.ask()
    session.tell(question, 2.0)
    assert session.y[question.index] == 2
    with pytest.raises(ValueError, match=r"1\.5 is none of the classes"):
        session.tell(question, 1.5)


def test_a_session_keeps_what_a_mapping_calls_the_classes(memory_path):
    class Named:
        classes_ = np.array(["ant", "bee", "cat"])

        def predict_proba(self, X):
            return np.full((len(X), 3), 0.1) + 0.7 * np.eye(3)[TRUTH[: len(X)]]

    names = {2: "ant", 1: "bee", 0: "cat"}
    net = DHONet(max_epochs=1, module__hidden=4)
    student = DHOClassifier(net, classes=names, random_state=0, device="cpu")
    estimator = make_pipeline(TeacherProba(Named()), student)
    session = LabelingSession(estimator, X, journal=memory_path / "labels.sqlite")
    assert session.classes == [2, 1, 0]
    guess = session.fit().model.predict(session.X)
    assert np.mean(guess == 2 - TRUTH) > 0.7  # 1/3 if classes were positions
    session.add_class(3)
    assert session.fit().model.predict_proba(session.X).shape == (120, 4)


def test_labels_known_beforehand(memory_path):
    y = np.full(120, -1)
    y[:30] = TRUTH[:30]
    session = open_session(memory_path, classes=[0, 1, 2], y=y)
    np.testing.assert_array_equal(session.y, y)
    assert session.undo() == []
    session.reject(0)
    again = resume(session, classes=None, y=y)
    assert again.y[0] == -1
    assert again.progress(fresh=False)["by_source"] == {"import": 29}
    with pytest.raises(ValueError, match=r"X has 120 rows but y has 3 labels"):
        open_session(memory_path, name="b", y=[0, 1, 2])
    with pytest.raises(ValueError, match="7 is none of the classes"):
        open_session(memory_path, name="c", classes=[0, 1], y=[7] * 120)
    with pytest.raises(ValueError, match="Row 1 of X"):
        open_session(memory_path, np.zeros((2, 2)), name="d", classes=[0, 1], y=[0, 1])


def test_what_others_left_can_be_taken_over(memory_path):
    session = open_session(memory_path, X[:8])
    left = session.ask(8, annotator="ben")
    assert session.ask() == []
    taken = session.ask(8, take_over=True)
    assert {question.key for question in taken} == {question.key for question in left}
    session.tell(taken[0], "ant")
    assert taken[0] not in session.ask(8, annotator="ben")


def test_threads_get_different_questions_and_lose_nothing(memory_path):
    session = open_session(memory_path)
    asked, errors = {}, []

    def work(name):
        try:
            asked[name] = answer(session, TRUTH, 12, annotator=name)
        except Exception as error:  # shown by the test below
            errors.append(error)

    threads = [threading.Thread(target=work, args=[f"person {k}"]) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    indices = [question.index for questions in asked.values() for question in questions]
    assert len(indices) == len(set(indices)) == 48
    assert (session.y != -1).sum() == 48


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"classes": ["a", "b", "a"]}, ValueError, "'a' more than once"),
        ({"classes": []}, ValueError, "empty"),
        ({"classes": "ab"}, TypeError, "sequence"),
        ({"classes": 3}, TypeError, "sequence"),
        ({"classes": {"a", "b"}}, TypeError, "sets and generators have no order"),
        ({"classes": iter("ab")}, TypeError, "sets and generators have no order"),
        ({"classes": {0: "ant", 1: "bee"}}, TypeError, "belongs to the estimator"),
        ({"missing_label": True}, TypeError, "missing_label=True"),
        ({"missing_label": b""}, TypeError, "missing_label=b''"),
        ({"y": [np.nan] * 120}, ValueError, "did you mean missing_label=np.nan"),
        ({"y": [None] * 120}, ValueError, "did you mean missing_label=None"),
        ({"classes": ["a", 1]}, TypeError, "all str or all int"),
        ({"classes": [0.5, 1.5]}, TypeError, "a str or an int"),
        ({"classes": [True, False]}, TypeError, "a str or an int"),
        ({"classes": [-1, 0]}, ValueError, "missing_label"),
        ({"classes": ["a", ""]}, ValueError, "empty"),
        ({"classes": None}, ValueError, "Name the classes"),
        ({"audit": 1}, ValueError, "audit"),
        ({"audit": -0.1}, ValueError, "audit"),
        ({"audit": "some"}, ValueError, "audit"),
        ({"overlap": 1.5}, ValueError, "overlap"),
        ({"random_state": None}, TypeError, "random_state"),
        ({"annotator": ""}, TypeError, "annotator"),
        ({"X": []}, ValueError, "no row"),
        ({"X": "photos"}, TypeError, "got a str"),
        ({"X": iter("ab")}, TypeError, "got a str_ascii_iterator"),
        ({"missing_label": None, "classes": [0, None]}, TypeError, "str or an int"),
        ({"X": np.zeros((0, 2))}, ValueError, "no row"),
    ],
)
def test_settings_that_cannot_be_meant(memory_path, settings, error, match):
    with pytest.raises(error, match=match):
        open_session(memory_path, **settings)
    if (memory_path / "labels.sqlite").exists():  # nothing was noted of it
        assert Journal(memory_path / "labels.sqlite").read() == []


def test_numbers_of_questions_that_cannot_be_meant(session):
    for n in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="n must be an int"):
            session.ask(n)


@pytest.mark.parametrize("seconds", [np.nan, np.inf, -1, "3", True])
def test_seconds_that_are_none_leave_the_journal_as_it_is(session, seconds):
    [question] = session.ask()
    with pytest.raises(ValueError, match=r"seconds=.* must be at least 0"):
        session.tell(question, "bee", seconds=seconds)
    assert resume(session).y[question.index] == -1
