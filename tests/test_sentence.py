"""SentenceEncoder: any local or hub model, any form of texts, and clear words where it fails."""

import json
import pickle
import shutil
import socket
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import save_random_sentence_model
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from skactivekd import DHOClassifier, DHONet, SentenceEncoder, TeacherProba, ZeroShotTeacher
from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import SkippedRowsWarning, TextError, _sentence_models

TEXTS = ["the cat sat", "", "a dog ran ran ran", "cat", "zebra 12"]


@pytest.fixture
def encoder(tiny_sentence):
    return SentenceEncoder(tiny_sentence, device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def expected(tiny_sentence):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_sentence), device="cpu", local_files_only=True)
    return model.encode(TEXTS, normalize_embeddings=True)


def test_texts_agree_with_sentence_transformers(encoder, expected):
    embeddings = encoder.encode_text(TEXTS)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        tuple,
        np.array,
        lambda texts: np.array(texts, dtype=object),
        lambda texts: pd.Series(texts, index=[9, 9, 3, 1, 0]),
        lambda texts: pd.Series(texts, dtype="string"),
        iter,
    ],
)
def test_texts_arrive_in_every_form(encoder, expected, form):
    np.testing.assert_allclose(encoder.encode_text(form(TEXTS)), expected, atol=1e-6)


def test_local_models_need_no_network(tiny_sentence, expected, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    _sentence_models.load_model.cache_clear()
    embeddings = SentenceEncoder(str(tiny_sentence)).encode_text(TEXTS)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


def test_home_and_relative_places(tiny_sentence, expected, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_sentence.parent))
    monkeypatch.chdir(tiny_sentence.parent)
    for place in ("~/model", "model", "./model"):
        np.testing.assert_allclose(SentenceEncoder(place).encode_text(TEXTS), expected, atol=1e-5)


def test_a_prompt_stands_before_each_text(encoder):
    prompted = clone(encoder).set_params(prompt="query: ")
    written = encoder.encode_text(["query: cat"])
    np.testing.assert_allclose(prompted.encode_text(["cat"]), written, atol=1e-6)
    assert prompted.fingerprint() != encoder.fingerprint()


def test_low_precision_stays_close_and_returns_float32(encoder, expected):
    embeddings = clone(encoder).set_params(precision="bf16").encode_text(TEXTS)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, expected, atol=0.05)
    assert np.abs(embeddings - expected).max() > 1e-5


def test_only_texts_that_do_not_fit_are_warned_of(encoder):
    encoder.encode_text(["cat " * 6, "0123456789" * 3])
    with pytest.warns(UserWarning, match="1 texts are longer than the model's 8 tokens.*'cat cat"):
        encoder.encode_text(["cat", "cat " * 7])
    with pytest.warns(UserWarning, match="lose their end"):
        clone(encoder).set_params(prompt="query: ").encode_text(["cat " * 5])


def test_very_long_texts_are_no_trouble(encoder):
    with pytest.warns(UserWarning, match="1 texts are longer") as caught:
        encoder.encode_text(["cat " * 20_000])
    assert len(str(caught[0].message)) < 300


def test_rows_that_are_no_texts_are_all_named(encoder):
    with pytest.raises(TextError, match="3 texts cannot be encoded") as error:
        encoder.encode_text(["cat", None, np.nan, "half \ud800"])
    assert sorted(error.value.bad) == [1, 2, 3]
    assert isinstance(error.value, TypeError)
    assert isinstance(error.value, ValueError)


def test_skipped_rows_are_nan_and_all_named(encoder, expected):
    skipping = clone(encoder).set_params(on_error="skip")
    with pytest.warns(SkippedRowsWarning, match=r"(?s)row 0: None.*row 2: 3\.5") as caught:
        embeddings = skipping.encode_text([None, TEXTS[0], 3.5])
    assert len(caught) == 1
    assert np.isnan(embeddings[[0, 2]]).all()
    np.testing.assert_allclose(embeddings[1], expected[0], atol=1e-6)
    with pytest.warns(SkippedRowsWarning):
        assert skipping.encode_text([None]).shape == (1, 16)


@pytest.mark.parametrize(
    ("texts", "error", "match"),
    [
        ("a cat", TypeError, r"one str.*\[texts\]"),
        (b"a cat", TypeError, "one bytes"),
        (3, TypeError, "is a int"),
        ([], ValueError, "no text"),
        (np.array([["a", "b"]]), TypeError, r"shape \(1, 2\)"),
        (pd.DataFrame({"text": ["a"], "lang": ["en"]}), TypeError, r"one column: X\['text'\]"),
    ],
)
def test_what_is_no_list_of_texts_raises(encoder, texts, error, match):
    with pytest.raises(error, match=match):
        encoder.encode_text(texts)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"precision": "fp8"}, "precision='fp8'"),
    ],
)
def test_wrong_settings_raise(encoder, params, match):
    with pytest.raises(ValueError, match=match):
        clone(encoder).set_params(**params).encode_text(["cat"])


@pytest.mark.parametrize("model", ["/no/such/model", "./model", "a/b/c", "~nobody/x"])
def test_a_missing_directory_is_named(model):
    with pytest.raises(FileNotFoundError, match=r"looked for /.*modules\.json"):
        SentenceEncoder(model).encode_text(["cat"])


def test_a_file_in_place_of_the_directory_is_named(tiny_sentence):
    with pytest.raises(FileNotFoundError, match="is a file, not a directory"):
        SentenceEncoder(tiny_sentence / "modules.json").encode_text(["cat"])
    with pytest.raises(TypeError, match="model is a int"):
        SentenceEncoder(3).encode_text(["cat"])


def test_a_broken_directory_is_named_and_never_random(tiny_sentence, tmp_path):
    shutil.copytree(tiny_sentence, tmp_path / "model")
    for file in (tmp_path / "model").rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(ValueError, match=r"(?s)model in .*cannot be loaded.*model\.safetensors"):
        SentenceEncoder(tmp_path / "model").encode_text(["cat"])
    with pytest.raises(ValueError, match="cannot be loaded"):
        SentenceEncoder(tmp_path).encode_text(["cat"])


def test_a_missing_download_names_model_and_way_out(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    encoder = SentenceEncoder("no-such-org/no-such-model", cache_dir=tmp_path)
    for use in (lambda: encoder.encode_text(["cat"]), encoder.fingerprint):
        with pytest.raises(RuntimeError, match=r"(?s)such-model' cannot.*HF_HUB_OFFLINE") as error:
            use()
        assert "SentenceEncoder('/path/to/model')" in str(error.value)


def test_a_model_of_the_hub_is_known_by_its_commit(tiny_sentence, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    prints = []
    for commit in ("a" * 40, "b" * 40):
        repo = tmp_path / commit[0] / "models--org--tiny"
        shutil.copytree(tiny_sentence, repo / "snapshots" / commit)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(commit)
        encoder = SentenceEncoder("org/tiny", cache_dir=repo.parent)
        assert encoder.encode_text(["cat"]).shape == (1, 16)
        prints.append(encoder.fingerprint())
        assert clone(encoder).set_params(revision=commit).encode_text(["cat"]).shape == (1, 16)
    assert len({*prints, SentenceEncoder(tiny_sentence).fingerprint()}) == 3


def test_a_missing_package_names_the_extra(encoder, monkeypatch):
    _sentence_models.load_model.cache_clear()
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"pip install skactivekd\[text\]"):
        encoder.encode_text(["cat"])


def test_fingerprint_is_of_the_content(tiny_sentence, encoder, tmp_path):
    copied = tmp_path / "elsewhere"
    shutil.copytree(tiny_sentence, copied)
    (copied / "README.md").write_text("other words")
    same = [{"batch_size": 7}, {"device": "auto"}, {"cache": EmbeddingCache()}, {"model": copied}]
    same += [{"on_error": "skip"}, {"verbose": 1}, {"cache_dir": tmp_path}]
    fingerprint = encoder.fingerprint()
    assert {clone(encoder).set_params(**p).fingerprint() for p in same} == {fingerprint}
    file = next(copied.rglob("config.json"))
    file.write_text(json.dumps({**json.loads(file.read_text()), "hidden_act": "relu"}))
    others = [{"model": copied}, {"prompt": ""}, {"precision": "bf16"}]
    prints = {clone(encoder).set_params(**p).fingerprint() for p in others}
    assert len(prints - {fingerprint}) == len(others)


def test_a_changed_directory_is_loaded_anew(tiny_sentence, tmp_path):
    encoder = SentenceEncoder(tmp_path / "model")
    shutil.copytree(tiny_sentence, tmp_path / "model")
    before = encoder.encode_text(["cat"])
    shutil.rmtree(tmp_path / "model")
    save_random_sentence_model(tmp_path, seed=1)
    assert np.abs(encoder.encode_text(["cat"]) - before).max() > 1e-2


def test_copies_hold_no_model_and_share_the_loaded_one(encoder, expected, monkeypatch):
    encoder.encode_text(TEXTS)
    monkeypatch.setattr(_sentence_models, "_import_sentence_transformer", None)
    for copied in (clone(encoder), pickle.loads(pickle.dumps(encoder))):
        assert len(pickle.dumps(copied)) < 5000
        np.testing.assert_allclose(copied.encode_text(TEXTS), expected, atol=1e-6)


def test_global_state_is_left_as_found(tiny_sentence, capfd):
    import torch

    _sentence_models.load_model.cache_clear()
    before = torch.get_rng_state(), torch.get_num_threads(), str(np.random.get_state())
    SentenceEncoder(tiny_sentence).encode_text(TEXTS)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), str(np.random.get_state())) == before[1:]
    assert torch.is_grad_enabled()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", [list, np.array, pd.Series])
def test_texts_are_classified_and_taught_end_to_end(encoder, form):
    X = form(["cat sat", "dog ran", "the cat", "a dog"] * 3)
    teacher = ZeroShotTeacher(encoder, classes=["cat", "dog"], templates="the {}")
    proba = teacher.fit().predict_proba(X)
    scale = encoder.logit_scale_
    logits = scale * encoder.encode_text(list(X)) @ encoder.encode_text(["the cat", "the dog"]).T
    np.testing.assert_allclose(
        proba[:, 1], 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), atol=1e-4
    )
    student = DHOClassifier(DHONet(max_epochs=2), missing_label=None, random_state=0)
    pipe = make_pipeline(TeacherProba(teacher, features=TfidfVectorizer()), student)
    y = np.array(["cat", "dog", *[None] * 10], dtype=object)
    assert set(pipe.fit(X, y).predict(X)) <= {"cat", "dog"}
