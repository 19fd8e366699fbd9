"""EndpointTeacher: right probabilities from a server that fails, and no row paid for twice."""

import json
import logging
import math
import pickle
import signal
import subprocess
import sys
import time
import traceback

import numpy as np
import pytest
from chat_server import CLASSES, ChatServer, reply_of, tokens_of, true_proba
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skactivekd import (
    DHOClassifier,
    DHONet,
    EmbeddingCache,
    EndpointTeacher,
    LabeledOnly,
    LabeledStratifiedKFold,
    TeacherProba,
    labeled_accuracy,
    simulate,
)
from skactivekd.encoders import RowError, SkippedRowsWarning
from skactivekd.teacher import EndpointError
from skactivekd.teacher._chat_server import check_url
from skactivekd.teacher._lettered_answers import letter_probabilities, read_answer

KEY = "sk-very-secret-0123456789"


def texts(n, start=0):
    return [f"this is row {number} of the pool" for number in range(start, start + n)]


def make(server, **params):
    params = {"backoff": 0.001, "cache": EmbeddingCache(), "timeout": 10.0} | params
    url = server if isinstance(server, str) else server.url
    return EndpointTeacher(url, "tiny", CLASSES, **params).fit()


def expected(rows):
    return np.array([true_proba(row) for row in rows])


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    return "MY_KEY"


FAULTS = [
    (429, {"error": {"message": "slow down"}}, {"Retry_After": "0.05"}),
    (429, {"error": "slow down"}),
    (503, {"error": "busy"}, {"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    (500, b"<html>oops</html>"),
    (502, b""),
    "truncated",
    "wrong letters",
    "hang up",
    b"[1, 2",
    [],
    {"choices": []},
    {"choices": [{"message": {}, "logprobs": {"content": [{"token": "A"}]}}]},
]


@pytest.mark.slow
def test_500_rows_of_a_server_that_fails_are_right_and_asked_once(key):
    faults = {row: [FAULTS[row % len(FAULTS)]] * (row % 3) for row in range(0, 500, 2)}
    faults |= {101: ["slow"], 303: ["slow", "trickle"]}
    with ChatServer(faults) as server:
        teacher = make(server, api_key_env=key, timeout=1.0, concurrency=6)
        proba = teacher.predict_proba(texts(500))
        np.testing.assert_allclose(proba, expected(range(500)), atol=1e-6)
        assert set(server.answered) == set(range(500))
        assert set(server.answered.values()) == {1}
        assert server.most_under_way <= 6 + 3  # those that timed out are under way on its side
        assert server.keys == {f"Bearer {KEY}"}
        assert teacher.usage_["rows"] == 500
        assert teacher.usage_["prompt_tokens"] >= 5000

        again = clone(teacher).fit()
        np.testing.assert_array_equal(again.predict_proba(texts(500)[::-1]), proba[::-1])
        assert (again.usage_["rows"], again.usage_["kept"]) == (0, 500)
        assert set(server.answered.values()) == {1}


def test_what_is_sent_is_a_menu():
    with ChatServer() as server:
        make(server).predict_proba(["row 3 has {menu} in it"])
        make(server, prompt="Q: {text}\n{menu}\nA:").predict_proba(texts(1))
        make(server, prompt="What is it?", extra={"max_tokens": None, "seed": 1}).predict_proba(
            texts(1)
        )
    body, second, third = server.bodies
    assert body["messages"] == [
        {
            "role": "user",
            "content": "row 3 has {menu} in it\n\nWhich of these fits the text best?\n\n"
            "A. ant\nB. bee\nC. cat\nD. dog\n\nAnswer with the letter alone.",
        }
    ]
    del body["messages"]
    assert body == {
        "model": "tiny",
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 20,
    }
    assert second["messages"][0]["content"] == (
        "Q: this is row 0 of the pool\nA. ant\nB. bee\nC. cat\nD. dog\nA:"
    )
    assert third["messages"][0]["content"].startswith("this is row 0 of the pool\n\nWhat is it?")
    assert third["seed"] == 1
    assert "max_tokens" not in third


def pictures(tmp_path):
    from PIL import Image

    arrays = [np.full((20, 30, 3), value, dtype=np.uint8) for value in (10, 60, 200)]
    paths = []
    for number, array in enumerate(arrays):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(array).save(paths[-1])
    large = Image.fromarray(np.full((900, 300, 3), 10, dtype=np.uint8))
    return arrays, paths, [large]


def test_images_go_as_data_urls_in_every_form(tmp_path):
    arrays, paths, large = pictures(tmp_path)
    right = expected([10, 60, 200])
    with ChatServer() as server:
        for X in (np.stack(arrays), arrays, paths):
            np.testing.assert_allclose(make(server).predict_proba(X), right, atol=1e-6)
        teacher = make(server, max_side=300)
        np.testing.assert_allclose(teacher.predict_proba(large), right[:1], atol=1e-6)
    for body in server.bodies:
        image, question = body["messages"][0]["content"]
        assert question["text"].startswith("Which of these does the picture show?\n\nA. ant")
        assert image["image_url"]["url"].startswith("data:image/")
    assert server.bodies[-1]["messages"][0]["content"][0]["image_url"]["url"].startswith(
        "data:image/jpeg"
    )


def test_letters_that_are_not_shown_share_what_is_left():
    shown = [("A", 0.5), (" A", 0.1), ("B.", 0.2), ("The", 0.1)]
    # 0.1 is left for C and D; the least token shown has 0.1, so that each may have 0.05.
    proba = letter_probabilities(shown, 4)
    np.testing.assert_allclose(proba, np.array([0.6, 0.2, 0.05, 0.05]) / 0.9)
    # 0.39 is left, but none of them can have more than B, the least that is shown.
    proba = letter_probabilities([("A", 0.6), ("B", 0.01)], 4)
    np.testing.assert_allclose(proba, np.array([0.6, 0.01, 0.01, 0.01]) / 0.63)
    proba = letter_probabilities([("\u2581B", 0.7), ("\u0120(A)", 0.3)], 2)
    np.testing.assert_allclose(proba, [0.3, 0.7])


@pytest.mark.parametrize(
    ("logprob", "match"),
    [
        (None, "logprob of None"),
        ("-1", "logprob of '-1'"),
        (math.nan, "logprob of nan"),
        (0.5, "logprob of 0.5"),
        (True, "logprob of True"),
    ],
)
def test_numbers_that_are_no_log_probabilities_are_refused(logprob, match):
    reply = reply_of(tokens_of(true_proba(1)))
    reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"][1]["logprob"] = logprob
    with pytest.raises(ValueError, match=match):
        read_answer(reply)


def answer(content):
    return {"choices": [{"message": {"content": None}, "logprobs": content}]}


def first_token(*top, token="A", logprob=-1.0):
    entries = [{"token": token, "logprob": logprob} for token, logprob in top]
    return answer({"content": [{"token": token, "logprob": logprob, "top_logprobs": entries}]})


NO_ANSWER = {
    "null": (None, ValueError, "without choices"),
    "a list": ([1], ValueError, "without choices"),
    "a number": (5.0, ValueError, "without choices"),
    "choices null": ({"choices": None}, ValueError, "without choices"),
    "choices true": ({"choices": True}, ValueError, "without choices"),
    "choices of a dict": ({"choices": {"0": {}}}, ValueError, "without choices"),
    "choices of a text": ({"choices": "A"}, ValueError, "without choices"),
    "a choice null": ({"choices": [None]}, ValueError, "without choices"),
    "an error": ({"error": {"message": "overloaded"}}, ValueError, "without choices"),
    "logprobs a list": (answer([1]), LookupError, "no logprobs"),
    "logprobs of old": (answer({"tokens": ["A"], "token_logprobs": [-1]}), LookupError, "no logp"),
    "content null": (answer({"content": None}), LookupError, "no logprobs"),
    "content empty": (answer({"content": []}), LookupError, "no logprobs"),
    "content a text": (answer({"content": "A"}), ValueError, "cannot be read"),
    "content a number": (answer({"content": 5}), ValueError, "cannot be read"),
    "content a dict": (answer({"content": {"token": "A"}}), ValueError, "cannot be read"),
    "top null": (answer({"content": [{"token": "A", "top_logprobs": None}]}), ValueError, "cannot"),
    "top a dict": (
        answer({"content": [{"token": "A", "top_logprobs": {"A": -1}}]}), ValueError, "cannot be",
    ),
    "top empty": (first_token(), LookupError, "no top_logprobs"),
    "a token of lists": (first_token((["A"], -1.0)), ValueError, "cannot be read"),
    "a large integer": (first_token(("A", 10**400), ("B", -1)), ValueError, "a logprob of 1000"),
    "infinite": (first_token(("A", math.inf), ("B", -1)), ValueError, "a logprob of inf"),
    "more than one": (first_token(("A", -0.1), ("B", -0.1)), ValueError, "more than one"),
    "small letters": (first_token(("a", -1.0), ("b", -1.0), token="a"), ValueError, "no letter"),
    "cyrillic": (first_token(("\u0410", -1.0), token="\u0410"), ValueError, "no letter of"),
    "full width": (first_token(("\uff21", -1.0), token="\uff21"), ValueError, "no letter of"),
    "circled": (first_token(("\u24b6", -1.0), token="\u24b6"), ValueError, "no letter of"),
    "a number for a token": (first_token((65, -1.0), token=65), ValueError, "no letter of"),
    "probability zero": (first_token(("A", -math.inf)), ValueError, "no letter of"),
    "next letter": (first_token(("E", -1.0), token="E"), ValueError, "no letter of"),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_ANSWER)
def test_replies_that_are_no_answer_say_why(case):
    reply, error, match = NO_ANSWER[case]
    with pytest.raises(error, match=match):
        letter_probabilities(read_answer(reply), 4)


def test_tokens_that_are_written_alike_all_count():
    half, third, tenth = map(math.log, (0.5, 0.3, 0.1))
    reply = first_token(("A", half), ("B", third), ("A", tenth), ("A", half), logprob=half)
    np.testing.assert_allclose(letter_probabilities(read_answer(reply), 2), [2 / 3, 1 / 3])
    reply = first_token(("B", -(10**400)), ("A", half))
    np.testing.assert_allclose(letter_probabilities(read_answer(reply), 2), [1, 0])


def test_minus_infinity_is_a_probability_of_zero():
    reply = reply_of(tokens_of(true_proba(1)))
    top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    top[-1]["logprob"], top[-2]["logprob"] = -math.inf, -9999.0
    assert [p for _, p in read_answer(reply)][-2:] == [0, 0]
    top[0]["logprob"] = top[1]["logprob"] = 0.0
    with pytest.raises(ValueError, match="sum to more than one"):
        read_answer(reply)


# Faults of the server: what it does to row 5 (or to all), and what is said.
ROW_FAULTS = {
    "bad request": ([(400, {"error": {"message": "too long"}})], "HTTP 400: too long"),
    "too large": ([(413, b"no")], "HTTP 413: no"),
    "no letters": (["wrong letters"] * 3, r"no letter of the menu.*'Z', 'I', 'q'.*tried 3 times"),
    "broken": (["truncated"] * 3, "no JSON; tried 3 times"),
    "no choices": ([{}] * 3, r"without choices\[0\].logprobs"),
    "choices of a number": ([{"choices": 5}] * 3, r"without choices\[0\].logprobs"),
    "a page": ([b"<html>busy</html>"] * 3, "17 bytes that is no JSON"),
    "nested": ([b"[" * 100_000] * 3, "100000 bytes that is no JSON"),
    "no gzip": ([(200, b"no", {"Content_Encoding": "gzip"})] * 3, "DecodingError"),
    "no number of seconds": ([(503, b"", {"Retry_After": "nan"})] * 3, "HTTP 503; tried 3"),
    "errors": ([(500, b"oops")] * 3, "HTTP 500: oops; tried 3 times"),
    "silence": (["slow"] * 3, "no (whole )?answer within 0.5 s"),
    "hang up": (["hang up"] * 3, "RemoteProtocolError|ReadError"),
    "no logprobs": ([{"choices": [{"message": {}, "logprobs": None}]}], "does not tell the prob"),
    "no field": ([{"choices": [{"message": {}}]}], "does not tell the prob"),
}


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_row_without_an_answer_is_named_and_the_others_are_kept(fault):
    faults, match = ROW_FAULTS[fault]
    with ChatServer({5: list(faults)}) as server:
        teacher = make(server, max_retries=2, timeout=0.5)
        with pytest.raises(
            RowError, match=rf"(?s)1 text without an answer.*row 5: .*{match}"
        ) as error:
            teacher.predict_proba(texts(9))
        assert list(error.value.bad) == [5]
        assert set(server.answered) == set(range(9)) - {5}
        proba = teacher.predict_proba(texts(9))
        np.testing.assert_allclose(proba, expected(range(9)), atol=1e-6)
        assert set(server.answered.values()) == {1}


def test_rows_without_an_answer_are_skipped_if_wanted():
    faults = {row: ["truncated"] * 2 for row in (1, 4)}
    with ChatServer(faults) as server:
        teacher = make(server, max_retries=1, on_error="skip")
        rows = [*texts(6), None, "this is row 1 of the pool"]
        with pytest.warns(SkippedRowsWarning, match=r"row 1: .*no JSON") as caught:
            proba = teacher.predict_proba(rows)
        assert sorted(caught[0].message.bad) == [1, 4, 6, 7]
        np.testing.assert_array_equal(proba[[1, 4, 6, 7]], 0.25)
        np.testing.assert_allclose(proba[[0, 2, 3, 5]], expected([0, 2, 3, 5]), atol=1e-6)
        assert (teacher.usage_["rows"], teacher.usage_["kept"]) == (4, 0)
        assert np.isclose(teacher.predict_proba(texts(6)), expected(range(6)), atol=1e-6).all()


ALL_FAULTS = {
    "key": ((401, {"error": {"message": f"wrong key {KEY}"}}), r"401: wrong key \[key\].*api_key"),
    "rights": ((403, b"no"), "403: no.*api_key_env"),
    "model": ((404, {"error": {"message": "no model"}}), "404: no model.*url=.*model="),
    "moved": ((307, b"", {"Location": "http://other.example/v1"}), "leads to http://other.*url="),
    "money": ((429, {"error": {"code": "insufficient_quota", "message": "x"}}), "Top up"),
    "wait": ((429, b"", {"Retry_After": "3600"}), "wait 3600 s.*Call again"),
    "settings": (
        (400, {"error": {"message": "unknown field"}}),
        "rows failed one after.*unknown",
    ),
    "no logprobs": ({"choices": [{"message": {}, "logprobs": None}]}, "rows.*does not tell"),
    "not there": ((405, b""), "HTTP 405.*Check url="),
}


@pytest.mark.parametrize("fault", ALL_FAULTS)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_server_that_cannot_be_asked_is_left_alone(fault, on_error, key):
    what, match = ALL_FAULTS[fault]
    with ChatServer({"all": what}) as server:
        teacher = make(server, api_key_env=key, on_error=on_error, concurrency=2)
        with pytest.raises(EndpointError, match=match) as error:
            teacher.predict_proba(texts(100))
        assert sum(server.tried.values()) <= 12
    assert "0 of 100 rows were answered" in str(error.value)
    assert KEY not in "".join(traceback.format_exception(error.value))


def test_nobody_listens():
    with ChatServer() as server:
        url = server.url
    teacher = make(url, max_retries=1, concurrency=3)
    with pytest.raises(EndpointError, match=r"rows failed.*ConnectError.*Check url="):
        teacher.predict_proba(texts(50))


def test_to_be_refused_for_the_rate_is_no_failure_while_others_get_through():
    with ChatServer(delay=0.002) as server:
        limit, allowed = FAULTS[0], 3
        real = server.faults

        class Limited(dict):
            def __getitem__(self, row):
                Limited.count += 1
                return [limit] if Limited.count % allowed else []

            def get(self, row):
                return None

        Limited.count = 0
        server.faults = Limited(real)
        teacher = make(server, max_retries=4)
        np.testing.assert_allclose(teacher.predict_proba(texts(20)), expected(range(20)), atol=1e-6)
        assert set(server.answered.values()) == {1}


def test_the_key_appears_nowhere(key, tmp_path, caplog, capsys):
    path = tmp_path / "answers.sqlite"
    with (
        caplog.at_level(logging.DEBUG),
        ChatServer({0: [(500, f"bad {KEY}".encode())] * 9}) as server,
    ):
        teacher = make(server, api_key_env=key, cache=EmbeddingCache(path), verbose=1)
        seen = [repr(teacher), str(teacher.get_params()), teacher._repr_html_()]
        with pytest.raises(RowError) as error:
            teacher.predict_proba(texts(4))
        seen += traceback.format_exception(error.value)
        seen += [repr(pickle.dumps(error.value)), str(error.value.bad)]
        seen += [repr(pickle.dumps(teacher)), repr(vars(teacher)), teacher.fingerprint()]
    out = capsys.readouterr()
    seen += [out.out, out.err, caplog.text, str([record.__dict__ for record in caplog.records])]
    seen += [repr(file.read_bytes()) for file in tmp_path.iterdir()]
    assert server.keys == {f"Bearer {KEY}"}
    assert "[key]" in str(error.value)
    assert not [text for text in seen if KEY in text or "very-secret" in text]


def test_the_key_is_read_from_the_variable_when_rows_are_asked(key, monkeypatch):
    with ChatServer() as server:
        teacher = make(server, api_key_env=key)
        teacher.predict_proba(texts(3))
        monkeypatch.delenv("MY_KEY")
        teacher.predict_proba(texts(3))  # known, so that nobody needs it
        with pytest.raises(ValueError, match="the environment variable MY_KEY is not set"):
            teacher.predict_proba(texts(4))
        monkeypatch.setenv("MY_KEY", "two\nlines")
        with pytest.raises(ValueError, match="MY_KEY holds what cannot stand in a header"):
            teacher.predict_proba(texts(4))
    with pytest.raises(ValueError, match="variable that it names is not set") as error:
        make("http://localhost:1", api_key_env="hf_secret").predict_proba(texts(1))
    assert "hf_secret" not in str(error.value)


def test_answers_are_of_one_question():
    with ChatServer() as server:
        cache = EmbeddingCache()
        make(server, cache=cache).predict_proba(texts(2))
        for params in (
            {"prompt": "Which?"},
            {"extra": {"seed": 3}},
            {"top_logprobs": 9},
            {"max_side": 9},
        ):
            make(server, cache=cache, **params).predict_proba(texts(2))
        other = EndpointTeacher(server.url, "other", CLASSES, cache=cache).fit()
        other.predict_proba(texts(2))
        renamed = EndpointTeacher(server.url, "tiny", [*CLASSES[:3], "fox"], cache=cache).fit()
        renamed.predict_proba(texts(2))
        assert server.tried.total() == 14
        runtime = {"concurrency": 2, "timeout": 3, "max_retries": 1, "verbose": 0}
        make(server, cache=cache, **runtime).predict_proba(texts(2))
        labels = EndpointTeacher(server.url, "tiny", dict(enumerate(CLASSES)), cache=cache).fit()
        assert labels.classes_.tolist() == [0, 1, 2, 3]
        labels.predict_proba(texts(2))
        assert server.tried.total() == 14


def test_without_a_cache_rows_are_asked_again():
    with ChatServer() as server:
        teacher = make(server, cache=False)
        for _ in range(2):
            teacher.predict_proba([*texts(3), *texts(3)])
        assert set(server.answered.values()) == {2}


NUMBERS = np.arange(40)
Y = np.where(NUMBERS < 16, [int(true_proba(row).argmax()) for row in NUMBERS], -1)


def student(**params):
    net = DHONet(max_epochs=2, module__hidden=4)
    return DHOClassifier(net, classes=range(4), random_state=0, **params)


def test_it_teaches_a_student_in_a_grid_search():
    with ChatServer() as server:
        teacher = EndpointTeacher(
            server.url, "tiny", dict(enumerate(CLASSES)), cache=EmbeddingCache()
        )
        pipe = make_pipeline(TeacherProba(teacher, features=TfidfVectorizer()), student())
        search = GridSearchCV(
            pipe,
            {"dhoclassifier__distill_weight": [0.2, 0.6]},
            cv=LabeledStratifiedKFold(3),
            scoring=labeled_accuracy,
        )
        best = search.fit(texts(40), Y).best_estimator_
        assert set(server.answered.values()) == {1}
        assert len(server.answered) == 40
        assert (best[0].n_asked_, best[0].n_kept_) == (0, 40)
        assert best.predict(texts(3)).shape == (3,)
        taught = TeacherProba(teacher, features=TfidfVectorizer()).fit_transform(texts(40), Y)
        np.testing.assert_allclose(taught.proba, expected(NUMBERS), atol=1e-6)


def test_it_works_inside_labeled_only_and_simulate():
    with ChatServer() as server:
        teacher = EndpointTeacher(
            server.url, "tiny", dict(enumerate(CLASSES)), cache=EmbeddingCache()
        )
        only = LabeledOnly(teacher, classes=range(4)).fit(texts(40), Y)
        np.testing.assert_allclose(only.predict_proba(texts(4)), expected(range(4)), atol=1e-6)
        assert teacher.fit().score(texts(16), Y[:16]) == 1
        truth = np.array([true_proba(row).argmax() for row in NUMBERS])
        pipe = make_pipeline(TeacherProba(teacher, features=TfidfVectorizer()), student())
        pool, rest = texts(30), texts(10, start=30)
        options = {"n_rounds": 2, "seeds": 2, "n_instances": 4, "progress": False}
        simulate(pipe, pool, truth[:30], X_test=rest, y_test=truth[30:], **options)
        assert server.tried.keys() == set(range(30))  # test rows go to the student alone
        assert set(server.answered.values()) == {1}


CLIENT = """
import sys
import numpy as np
from skactivekd import EmbeddingCache, EndpointTeacher

url, path, out = sys.argv[1:]
teacher = EndpointTeacher(url, "tiny", ["ant", "bee", "cat", "dog"], concurrency=5,
                          cache=EmbeddingCache(path)).fit()
np.save(out, teacher.predict_proba([f"this is row {n} of the pool" for n in range(300)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_after_a_kill_only_rows_under_way_are_asked_again(tmp_path):
    with ChatServer(delay=0.01) as server:
        for wanted in (120, None):
            arguments = [server.url, str(tmp_path / "answers.sqlite"), str(tmp_path / "p.npy")]
            process = subprocess.Popen([sys.executable, "-c", CLIENT, *arguments])
            while wanted and process.poll() is None and len(server.answered) < wanted:
                time.sleep(0.001)
            if wanted:
                process.kill()
            assert process.wait() == (-signal.SIGKILL if wanted else 0)
    assert set(server.answered) == set(range(300))
    assert server.answered.total() <= 300 + 5
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected(range(300)), atol=1e-6)


def test_an_interrupt_keeps_what_was_answered():
    with ChatServer(delay=0.01) as server:
        teacher = make(server, concurrency=2, verbose=0)

        class Interrupting(EmbeddingCache):
            def fetch(self, owner, keys, *args, **kwargs):
                if len(server.answered) > 10 and len(keys) < 40:
                    raise KeyboardInterrupt
                return super().fetch(owner, keys, *args, **kwargs)

        cache = Interrupting()
        teacher.cache = cache
        with pytest.raises(KeyboardInterrupt):
            teacher.predict_proba(texts(40))
        assert 8 <= len(cache) <= 14
        assert len(server.answered) <= 15


SETTINGS = {
    "url type": ({"url": 3}, "url is a int"),
    "url": ({"url": "localhost:8000"}, "no address of a server"),
    "url scheme": ({"url": "ftp://host/v1"}, "no address of a server"),
    "url space": ({"url": "http://host/v 1"}, "no address of a server"),
    "url password": ({"url": f"https://user:{KEY}@host/v1"}, "api_key_env="),
    "url key": ({"url": f"https://host/v1?api-key={KEY}"}, "api_key_env="),
    "url token": ({"url": f"https://host/v1?access_token={KEY}"}, "api_key_env="),
    "model": ({"model": " "}, "model=' ' must be the model's name"),
    "model type": ({"model": None}, "model=None must be"),
    "classes": ({"classes": None}, "classes"),
    "one class": ({"classes": ["a"]}, "the one class 'a'"),
    "many classes": ({"classes": range(27)}, "27 classes for the 26 letters"),
    "two lines": ({"classes": ["a\nb", "c"]}, "must be one line"),
    "spaces": ({"classes": [" a", "c"]}, "without spaces around"),
    "twins": ({"classes": {0: "Cat", 1: "cat"}}, "no model can tell apart"),
    "empty name": ({"classes": {0: "", 1: "cat"}}, "not a text"),
    "repeated": ({"classes": ["a", "a"]}, "a"),
    "prompt": ({"prompt": 3}, "prompt=3 must be a question"),
    "empty prompt": ({"prompt": " "}, "must be a question"),
    "a place of scikit": ({"prompt": "Is {} it?"}, r"prompt has \{\}, .*\{text\} and \{menu\}"),
    "a place in capitals": ({"prompt": "Is {Text} it?"}, r"prompt has \{Text\}"),
    "a place of others": ({"prompt": "{text}: {classes}?"}, r"prompt has \{classes\}"),
    "key": ({"api_key_env": KEY}, "name of an environment variable"),
    "key type": ({"api_key_env": 3}, "name of an environment variable"),
    "max_side": ({"max_side": 0}, "max_side=0 must be at least 1"),
    "top_logprobs": ({"top_logprobs": 1}, "top_logprobs=1 must be at least 2"),
    "concurrency": ({"concurrency": 0}, "concurrency=0"),
    "timeout": ({"timeout": 0}, "timeout=0"),
    "timeout nan": ({"timeout": math.nan}, "timeout=nan"),
    "max_retries": ({"max_retries": -1}, "max_retries=-1"),
    "backoff": ({"backoff": -1}, "backoff=-1"),
    "on_error": ({"on_error": "ignore"}, "on_error='ignore'"),
    "cache": ({"cache": "a.sqlite"}, r"EmbeddingCache\('answers.sqlite'\)"),
    "extra": ({"extra": [1]}, "extra=.* must be a dict"),
    "extra names": ({"extra": {1: 2}}, "extra=.* must be a dict"),
    "extra own": ({"extra": {"stream": True, "n": 2}}, "extra sets n, stream"),
    "extra json": ({"extra": {"a": {1, 2}}}, "extra holds what JSON cannot"),
    "extra nan": ({"extra": {"a": math.nan}}, "extra holds what JSON cannot"),
    "inputs": ({"inputs": "sound"}, "inputs='sound'"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_cannot_be_are_refused(name):
    params, match = SETTINGS[name]
    params = {"url": "http://localhost:1", "model": "tiny", "classes": CLASSES} | params
    with pytest.raises((ValueError, TypeError), match=match) as error:
        EndpointTeacher(**params).fit().predict_proba(["a"])
    assert KEY not in str(error.value)


def rows_with(row):
    return [*texts(3), row, *texts(2, start=3)]


ROWS = {
    "none": (rows_with(None), r"row 3: None is a NoneType"),
    "number": (rows_with(3.5), r"row 3: 3.5 is a float"),
    "nan": (rows_with(math.nan), r"row 3: nan is a float"),
    "half a pair": (rows_with("\ud800"), r"row 3: .*surrogate"),
    "a file": (rows_with(__file__), r"row 0 of X is a text.*row 3 names a file.*inputs="),
    "a missing file": (rows_with("cat.jpg"), r"row 0 of X is a text.*row 3 names a file.*inputs="),
    "one text": ("a text", r"pass a list of rows: \[X\]"),
    "nothing": ([], "holds no text"),
    "a number": (3, "pass a list of texts"),
    "flat numbers": (np.zeros((3, 4)), "flat rows"),
    "missing": (["a.png", "b.png"], r"row 0: a.png: no such file"),
    "bytes": ([b"no image"], r"row 0: 8 bytes: "),
    "empty bytes": ([b""], "row 0: no bytes"),
    "out of range": ([np.full((2, 2), 9.0)], r"row 0: values from 9 to 9"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_cannot_be_asked_are_named(name):
    X, match = ROWS[name]
    with ChatServer() as server:
        with pytest.raises((ValueError, TypeError), match=match):
            make(server).predict_proba(X)
        assert not server.tried


def test_a_prompt_for_texts_is_not_for_images():
    with pytest.raises(ValueError, match="rows of X are images"):
        make("http://localhost:1", prompt="Is {text}?").predict_proba(np.zeros((1, 8, 8)))


def test_a_subclass_says_who_it_is():
    class Louder(EndpointTeacher):
        def predict_proba(self, X):
            return super().predict_proba([text.upper() for text in X])

    with pytest.raises(TypeError, match=r"give it a fingerprint\(\) of its own"):
        Louder("http://localhost:1", "tiny", CLASSES).fit().predict_proba(["a"])


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
        (
            "https://a.b/openai/v1/?api-version=1",
            "https://a.b/openai/v1/chat/completions?api-version=1",
        ),
        ("https://a.b/v1/chat/completions", "https://a.b/v1/chat/completions"),
        ("http://[::1]:80", "http://[::1]:80/chat/completions"),
    ],
)
def test_addresses(url, sent):
    assert check_url(url) == sent


def test_answers_are_written_as_they_come(tmp_path):
    with ChatServer({3: [(400, b"no")]}) as server:
        path = tmp_path / "answers.sqlite"
        teacher = make(server, cache=EmbeddingCache(path))
        with pytest.raises(RowError):
            teacher.predict_proba(texts(6))
        assert len(EmbeddingCache(path)) == 5
        assert json.dumps(teacher.usage_)
