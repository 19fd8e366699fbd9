"""What a session says of its student is true: accuracy, curve, advice, people, second looks."""

import numpy as np
import pytest
from session_tools import CLASSES, answer, blobs, open_session, quick_folder
from sklearn.naive_bayes import GaussianNB

from skactivekd import LabelingSession, Margin
from skactivekd.session._audit import Reserve
from skactivekd.session._stopping_advice import advise, bound, changes, turning_points, worth

X, TRUTH = blobs()


def play(seed, n_labels, audit, n_pool=300):
    """Label a pool perfectly; return the accuracy that is shown and the true one."""
    pool, truth = blobs(n_pool, seed)
    unseen, unseen_truth = blobs(3000, seed + 10_000)
    with quick_folder() as folder:
        session = open_session(folder, pool, random_state=seed, audit=audit, classes=[0, 1, 2])
        answer(session, truth, n_labels // 10, n_ask=10, names=[0, 1, 2])
        shown = session.progress()["accuracy"]
        true = session.fit().model.score(unseen, unseen_truth)
        session.close()
    return shown, true


def check_coverage(runs, least):
    inside = np.mean([shown["low"] <= true <= shown["high"] for shown, true in runs])
    assert inside >= least
    off = np.array([shown["accuracy"] - true for shown, true in runs])
    assert abs(off.mean()) < 3 * off.std() / np.sqrt(len(off)) + 0.01


def test_the_interval_covers_the_true_accuracy():
    check_coverage([play(seed, 50, 0.4) for seed in range(60)], 0.9)


def test_nothing_is_fitted_where_there_is_nothing_to_measure(memory_path):
    session, fits = open_session(memory_path, audit=0), []
    session._figures.tick = lambda: fits.append(1)
    answer(session, TRUTH, 9, n_ask=10)
    assert session.progress()["advice"].startswith("Too early to tell")
    assert not fits
    answer(session, TRUTH, 1, n_ask=10)
    assert len(session.progress()["changed"]) == 1
    assert fits


@pytest.mark.thorough
def test_the_interval_covers_the_true_accuracy_as_it_is_used():
    check_coverage([play(seed, 200, 0.1, n_pool=1000) for seed in range(200)], 0.9)


def test_a_tenth_of_the_questions_is_an_audit(memory_path):
    session = open_session(memory_path)
    asked = answer(session, TRUTH, 5, n_ask=10)
    audits = [question for question in asked if question.source == "audit"]
    assert len(audits) == 5
    assert all(question.suggestions == [] for question in audits)
    assert all(question.suggestions for question in asked[10:] if question.source == "strategy")
    fits, figures = [], session._figures
    figures.tick = lambda: fits.append(1)
    alone = figures.accuracy(session._view())
    assert len(fits) == 5  # the curve takes more, for which nobody has asked
    accuracy = session.progress()["accuracy"]
    assert len(fits) > 10
    assert alone == accuracy == figures.accuracy(session._view())
    assert accuracy["n"] == 5
    assert accuracy["labels"] == 50
    assert 0 <= accuracy["low"] < accuracy["accuracy"] <= accuracy["high"] <= 1


def test_audit_rows_are_drawn_before_anybody_chooses(memory_path):
    """Neither strategy nor confirming takes rows out of the random sample."""
    session = open_session(memory_path, audit=0.3)
    asked = answer(session, TRUTH, 3, n_ask=20)
    reserve = Reserve(session._pool.rows, 0.3, 0)
    audits = [question.key for question in asked if question.source == "audit"]
    assert audits == reserve.order[: len(audits)]
    assert len(audits) == 18
    assert not [q for q in asked if q.source == "strategy" and q.key in reserve]
    for name in CLASSES:
        grid = session.confirm(name, 120)
        assert not [question for question in grid if question.key in reserve]


def test_the_reserve_stays_a_sample_of_a_pool_that_grows():
    keys = [f"text-{number}" for number in range(5000)]
    few, many = Reserve(keys[:2000], 0.1, 0), Reserve(keys, 0.1, 0)
    assert [key for key in many.order if key in few] == few.order
    assert 0.08 < len(many.order) / 5000 < 0.12
    assert Reserve(keys, 0.1, 1).order != many.order


def test_an_audit_row_is_scored_by_a_fit_that_did_not_see_it(memory_path):
    """One that remembers its training rows would be right on all of them."""
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)
    noise, labels = rng.normal(size=(300, 2)), rng.integers(2, size=300)
    pool = np.concatenate([noise, noise[:150]])  # copies must not help either
    session = LabelingSession(
        KNeighborsClassifier(1),
        pool,
        classes=[0, 1],
        journal=memory_path / "j",
        audit=0.5,
        strategy=Margin(),
    )
    answer(session, np.concatenate([labels, labels[:150]]), 10, n_ask=20, names=[0, 1])
    accuracy = session.progress()["accuracy"]
    assert accuracy["n"] == 100
    assert 0.3 < accuracy["accuracy"] < 0.7


def test_confirmed_labels_do_not_count(memory_path):
    session = open_session(memory_path)
    answer(session, TRUTH, 2, n_ask=10)
    n = session.progress()["accuracy"]["n"]
    for name in CLASSES:
        session.accept(session.confirm(name))
    progress = session.progress()
    assert progress["accuracy"]["n"] == n == 2
    assert progress["by_source"]["confirm"] > 20
    assert max(point["labels"] for point in progress["curve"]) < 20


def test_without_an_audit_there_is_no_accuracy(memory_path):
    session = open_session(memory_path, audit=0)
    answer(session, TRUTH, 2, n_ask=20)
    progress = session.progress()
    assert progress["accuracy"] is None
    assert progress["curve"] == []
    assert "no audit row" in session.report()


def test_progress_at_once_is_what_was_found_last(memory_path):
    session = open_session(memory_path)
    assert session.progress(fresh=False)["accuracy"] is None
    answer(session, TRUTH, 2, n_ask=20)
    assert session.progress(fresh=False)["accuracy"] is None
    accuracy = session.progress()["accuracy"]
    session.tell(session.ask()[0], "ant")
    assert session.progress(fresh=False)["accuracy"] == accuracy
    assert session.progress(fresh=False)["labels"] == 41


def test_the_curve_makes_each_fit_once(memory_path, monkeypatch):
    session = open_session(memory_path)
    answer(session, TRUTH, 3, n_ask=20)
    session.progress()
    fits = []
    fit = GaussianNB.fit
    monkeypatch.setattr(GaussianNB, "fit", lambda *args: fits.append(1) or fit(*args))
    session.progress()
    assert not fits
    session.tell(session.ask()[0], "ant")
    session.progress()
    assert len(fits) <= 5 + 1  # cross-fitting and the student, not the curve


def test_turning_points():
    assert turning_points(0) == []
    assert turning_points(12) == [10]
    assert turning_points(149) == [10, 20, 30, 50, 100]
    for n in (150, 777, 5000, 100_000):
        points = turning_points(n)
        last = n // 50 * 50
        assert {last, last - 50, last - 100} <= set(points) | {0}
        assert len(points) <= 14


def test_changes_and_worth():
    snapshots = {50: np.zeros(100), 100: np.arange(100) < 7, 150: np.arange(100) < 9}
    assert changes(snapshots) == [0.02, 0.07]
    assert changes({50: np.zeros(3)}) == []
    curve = [{"labels": n, "accuracy": 1 - 2 / n, "n": 500} for n in (10, 50, 100)]
    assert worth(curve, [0.5]) == pytest.approx(2 / 100 - 2 / 150)
    assert worth(curve, [0.001]) == 0.001
    assert worth(curve[:2], [0.5]) is None
    assert worth([{**point, "accuracy": 0.5} for point in curve], []) == pytest.approx(0, abs=1e-9)


def test_what_is_advised():
    assert advise([0.01, 0.01], 0.01, None, 150, 9)[0]
    assert not advise([0.011, 0.0], 0.01, None, 150, 9)[0]
    assert advise([0.011, 0.0], 0.02, None, 150, 9)[0]
    assert not advise([0.0], 0.01, None, 100, 9)[0]
    assert advise([], 0.01, None, 0, 0) == (True, "Every item has been asked.")
    assert "about 1.5 points" in advise([0.2, 0.1], 0.01, 0.015, 150, 9)[1]
    assert "there are 120" in advise([0.2], 0.01, None, 120, 9)[1]


def test_the_bound_is_a_point_or_a_tenth_of_the_errors():
    assert bound(None) == bound({"accuracy": 0.0, "n": 9}) == 0.01
    assert bound({"accuracy": 0.95, "n": 99}) == 0.01
    assert bound({"accuracy": 0.6, "n": 10}) == pytest.approx(0.04)


def stops_at(seed, spread):
    """Label until the session says stop; return the labels and what 100 more then bring."""
    pool, truth = blobs(900, seed, spread)
    unseen, unseen_truth = blobs(4000, seed + 10_000, spread)
    names = [0, 1, 2]
    with quick_folder() as folder:
        session = open_session(folder, pool, random_state=seed, classes=names)
        n = 0
        while not session.progress()["stop"]:
            answer(session, truth, 2, n_ask=25, names=names)
            n = session.progress(fresh=False)["labels"]
            if n >= 500:
                return n, None
        then = session.fit().model.score(unseen, unseen_truth)
        answer(session, truth, 4, n_ask=25, names=names)
        later = session.fit().model.score(unseen, unseen_truth)
        session.close()
    return n, later - then


@pytest.mark.thorough
def test_the_advice_to_stop_is_right():
    """After it another 100 labels bring a point of accuracy at most, nine times of ten."""
    runs = [stops_at(seed, spread) for seed in range(5) for spread in (0.6, 1.0)]
    gains = np.array([gain for _, gain in runs if gain is not None])
    assert len(gains) >= 7  # where classes overlap, predictions may never settle
    assert np.mean(gains <= 0.01) >= 0.9
    assert gains.mean() < 0.005
    assert min(n for n, _ in runs) >= 150


def test_people_are_compared_on_what_both_labeled(memory_path):
    from sklearn.metrics import cohen_kappa_score

    session = open_session(memory_path, overlap=0.5)
    answer(session, TRUTH, 2, n_ask=10, annotator="ann")
    wrong = (TRUTH + 1) % 3
    asked = []
    for turn in range(2):
        asked += answer(session, wrong if turn else TRUTH, 1, n_ask=10, annotator="ben")
    ann = {event.item for event in session._journal.read() if event.annotator == "ann"}
    both = [question for question in asked if question.key in ann]
    assert len(both) == 10
    assert all(question.suggestions == [] for question in both)
    people = session.agreement()
    [pair] = people["pairs"]
    assert pair["annotators"] == ["ann", "ben"]
    assert pair["n"] == 10
    assert pair["agree"] == 0.5
    assert len(people["conflicts"]) == 5
    first = [TRUTH[question.index] for question in both]
    second = [(TRUTH if k < 5 else wrong)[question.index] for k, question in enumerate(both)]
    assert pair["kappa"] == pytest.approx(cohen_kappa_score(first, second))
    row = people["conflicts"][0]
    session.relabel(row["index"], "cow", annotator="sue")
    assert session.y[row["index"]] == "cow"


def test_what_counts_where_people_differ(memory_path):
    session = open_session(memory_path)
    session.tell(0, "ant", annotator="ann"), session.tell(0, "bee", annotator="ben")
    assert session.y[0] == "bee"  # the latest
    session.tell(0, "ant", annotator="sue")
    assert session.y[0] == "ant"  # most
    session.tell(0, "cow", annotator="ben"), session.tell(0, "cow", annotator="tom")
    session.relabel(0, "bee", annotator="ann")
    assert session.y[0] == "bee"  # the review
    session.undo(annotator="ann")
    assert session.y[0] == "cow"
    session.skip(0, annotator="ann")
    assert session.y[0] == "cow"


def test_kappa_of_one_class_is_undefined(memory_path):
    session = open_session(memory_path)
    for who in ("ann", "ben"):
        session.tell(0, "ant", annotator=who), session.tell(1, "ant", annotator=who)
    [pair] = session.agreement()["pairs"]
    assert pair["kappa"] is None
    assert "undefined" in session.report()


def test_wrong_labels_are_found(memory_path):
    pool, truth = blobs(150, spread=0.3)
    session = open_session(memory_path, pool)
    assert session.contradictions() == []
    asked = answer(session, truth, 3, n_ask=20)
    wrong = [question for question in asked if question.source == "strategy"][20:24]
    for question in wrong:
        session.tell(question.index, CLASSES[(truth[question.index] + 1) % 3])
    found = session.contradictions()
    assert {question.key for question in found} == {question.key for question in wrong}
    for question in found:
        assert question.source == "review"
        assert question.label == session.y[question.index]
        assert question.suggestions[0][0] == CLASSES[truth[question.index]]
    assert session.contradictions(2) == found[:2]
    session.relabel(found[0], found[0].suggestions[0][0])
    session.relabel(found[1], found[1].label)  # right after all
    assert not {q.key for q in session.contradictions()} & {q.key for q in found[:2]}
