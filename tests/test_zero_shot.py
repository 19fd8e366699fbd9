"""ZeroShotTeacher: open_clip's probabilities, scikit-learn's manners, one encoding per row."""

import copy
import pickle
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import ImageError, OpenCLIPEncoder, _open_clip
from skactivekd.teacher import ZeroShotTeacher, _embedding_teacher, embed_classes

NAMES = ["cat", "small dog", "bird", "Fish & chips"]
TEMPLATES = ["a photo of a {}.", "{} in the wild", lambda name: f"art of the {name}"]


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).integers(0, 256, (12, 20, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def y():
    return np.arange(12) % 4


@pytest.fixture
def encoder(tiny_clip):
    return OpenCLIPEncoder(tiny_clip.directory, device="cpu", cache=EmbeddingCache())


@pytest.fixture
def teacher(encoder):
    return ZeroShotTeacher(encoder, NAMES)


def open_clip_proba(clip, X, templates):
    """What open_clip's own functions give, without any of ours."""
    import open_clip
    import torch

    name = f"local-dir:{clip.directory}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    with torch.no_grad():
        weights = open_clip.build_zero_shot_classifier(
            model.eval(), open_clip.get_tokenizer(name), sorted(NAMES), templates
        )
        images = torch.stack([transform(Image.fromarray(x)) for x in X])
        logits = 100.0 * model.encode_image(images, normalize=True) @ weights
        return logits.softmax(dim=1).numpy()


def save(X, folder):
    paths = [str(folder / f"{i}.png") for i in range(len(X))]
    for x, path in zip(X, paths, strict=True):
        Image.fromarray(x).save(path)
    return paths


@pytest.mark.parametrize("templates", [TEMPLATES[:1], TEMPLATES[:2], TEMPLATES[2:]])
def test_probabilities_agree_with_open_clip(tiny_clip, teacher, X, templates, tmp_path):
    expected = open_clip_proba(tiny_clip, X, templates)
    paths = save(X, tmp_path)
    forms = [X, X / 255, paths, pd.Series(paths), [Image.fromarray(x) for x in X]]
    teacher.set_params(templates=templates).fit()
    for form in forms:
        np.testing.assert_allclose(teacher.predict_proba(form), expected, atol=1e-5)


@pytest.mark.parametrize("file", ["pt", "safetensors"])
def test_probabilities_of_a_checkpoint_file_agree(tiny_clip, X, file):
    encoder = OpenCLIPEncoder(
        tiny_clip.name, getattr(tiny_clip, file), preprocess=tiny_clip.preprocess
    )
    proba = ZeroShotTeacher(encoder, NAMES, TEMPLATES[0]).fit().predict_proba(X)
    np.testing.assert_allclose(proba, open_clip_proba(tiny_clip, X, TEMPLATES[:1]), atol=1e-5)


def test_gray_arrays_agree_with_open_clip(tiny_clip, teacher, X):
    expected = open_clip_proba(tiny_clip, X[..., 0], TEMPLATES[:1])
    np.testing.assert_allclose(teacher.fit().predict_proba(X[..., 0]), expected, atol=1e-5)
    np.testing.assert_allclose(teacher.predict_proba(X[..., :1]), expected, atol=1e-5)


def test_outputs_fit_together(teacher, X, y):
    proba = teacher.fit().predict_proba(X)
    assert proba.shape == (12, 4)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(teacher.transform(X), proba)
    labels = np.array(sorted(NAMES))[proba.argmax(axis=1)]
    np.testing.assert_array_equal(teacher.predict(X), labels)
    assert teacher.score(X, labels) == 1
    assert list(teacher.get_feature_names_out()) == sorted(NAMES)
    np.testing.assert_allclose(np.linalg.norm(teacher.class_embeddings_, axis=1), 1, atol=1e-6)


def test_set_output_names_the_columns(teacher, X):
    frame = clone(teacher.set_output(transform="pandas")).fit_transform(X)
    assert list(frame.columns) == sorted(NAMES)


def test_classes_are_sorted_and_columns_follow(encoder, X):
    forward = ZeroShotTeacher(encoder, NAMES).fit()
    backward = ZeroShotTeacher(encoder, NAMES[::-1]).fit()
    assert list(backward.classes_) == list(forward.classes_) == sorted(NAMES)
    np.testing.assert_array_equal(backward.class_embeddings_, forward.class_embeddings_)
    np.testing.assert_array_equal(backward.predict_proba(X), forward.predict_proba(X))


@pytest.mark.parametrize("labels", [[7, 3, 0, 2], ["d", "c", "b", "a"], [3, 1, 2.5, 0]])
def test_a_mapping_gives_labels_and_names(encoder, X, labels):
    named = ZeroShotTeacher(encoder, dict(zip(labels, NAMES, strict=True))).fit()
    assert named.classes_.tolist() == sorted(labels)
    alone = ZeroShotTeacher(encoder, NAMES).fit()
    columns = [sorted(NAMES).index(NAMES[place]) for place in np.argsort(labels)]
    expected = alone.predict_proba(X)[:, columns]
    np.testing.assert_allclose(named.predict_proba(X), expected, atol=1e-6)


@pytest.mark.parametrize("form", [tuple, np.array, pd.Series, pd.Index])
def test_classes_come_in_every_form(encoder, form):
    assert ZeroShotTeacher(encoder, form([3, 1, 2])).fit().classes_.tolist() == [1, 2, 3]


def test_one_class_and_repeated_names_are_allowed(encoder, X):
    assert (ZeroShotTeacher(encoder, ["cat"]).fit().predict_proba(X) == 1).all()
    proba = ZeroShotTeacher(encoder, {0: "missile", 1: "missile"}).fit().predict_proba(X)
    np.testing.assert_allclose(proba, 0.5, atol=1e-6)


def test_logit_scale_sharpens(encoder, X):
    flat = ZeroShotTeacher(encoder, NAMES, logit_scale=1e-6).fit().predict_proba(X)
    np.testing.assert_allclose(flat, 0.25, atol=1e-5)
    soft = ZeroShotTeacher(encoder, NAMES, logit_scale=1.0).fit().predict_proba(X)
    sharp = ZeroShotTeacher(encoder, NAMES).fit().predict_proba(X)
    assert (sharp.max(axis=1) > soft.max(axis=1)).all()


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"classes": None}, ValueError, "set `classes`"),
        ({"classes": []}, ValueError, "classes is empty"),
        ({"classes": {}}, ValueError, "classes is empty"),
        ({"classes": ["cat", "dog", "cat"]}, ValueError, "'cat' more than once"),
        ({"classes": "cat"}, TypeError, "sequence of labels or a mapping"),
        ({"classes": 3}, TypeError, "sequence of labels or a mapping"),
        ({"classes": {0: "cat", 1: 5}}, TypeError, "name of class 1 is 5"),
        ({"classes": ["cat", ""]}, ValueError, "classes holds ''"),
        ({"classes": {0: "cat", 1: ""}}, TypeError, "name of class 1 is ''"),
        ({"classes": ["x", 1]}, ValueError, "classes mixes strings and numbers"),
        ({"templates": []}, ValueError, "templates="),
        ({"templates": "a photo"}, ValueError, r"'a photo' must have \{\}"),
        ({"templates": ["a {}", "a {c}"]}, ValueError, r"'a \{c\}' must have"),
        ({"templates": ["{} and {}"]}, ValueError, r"must have \{\} once"),
        ({"templates": ["a {}", 3]}, TypeError, "template 3"),
        ({"templates": lambda name: 3}, TypeError, "not a str"),
        ({"logit_scale": 0}, ValueError, "logit_scale=0"),
        ({"encoder": OpenCLIPEncoder}, TypeError, "must be an object with encode_text"),
        ({"encoder": "openai"}, TypeError, "must be an object with encode_text"),
    ],
)
def test_wrong_settings_raise_with_a_hint(teacher, params, error, match):
    with pytest.raises(error, match=match):
        teacher.set_params(**params).fit()


@pytest.mark.parametrize("method", ["predict_proba", "predict", "transform"])
def test_use_before_fit_raises(teacher, X, method):
    with pytest.raises(NotFittedError):
        getattr(teacher, method)(X)
    with pytest.raises(NotFittedError):
        teacher.get_feature_names_out()


def test_bad_files_are_named_as_in_X_whatever_is_cached(teacher, X, tmp_path):
    paths = save(X, tmp_path)
    teacher.fit().predict_proba(paths[:3])
    (tmp_path / "5.png").write_text("no image")
    (tmp_path / "7.png").unlink()
    with pytest.raises(ImageError) as error:
        teacher.predict_proba(paths)
    assert sorted(error.value.bad) == [5, 7]


@pytest.fixture
def embedded(tiny_clip, monkeypatch):
    """The tiny model in the place of the embedded one."""
    glyph = SimpleNamespace(
        GLYPH_DIR=str(tiny_clip.directory),
        GLYPH_CLASSES={4: "four", 2: "two"},
        GLYPH_TEMPLATES=["the digit {}", "{} by hand"],
    )
    monkeypatch.setattr(_open_clip, "GLYPH_DIR", glyph.GLYPH_DIR)
    monkeypatch.setattr(_embedding_teacher, "GLYPH_CLASSES", glyph.GLYPH_CLASSES)
    monkeypatch.setattr(_embedding_teacher, "GLYPH_TEMPLATES", glyph.GLYPH_TEMPLATES)
    return glyph


def test_the_embedded_model_brings_classes_and_templates(embedded, encoder, X):
    explicit = ZeroShotTeacher(encoder, embedded.GLYPH_CLASSES, embedded.GLYPH_TEMPLATES).fit()
    for teacher in (ZeroShotTeacher(), ZeroShotTeacher(OpenCLIPEncoder(batch_size=5))):
        assert teacher.fit().classes_.tolist() == [2, 4]
        np.testing.assert_allclose(teacher.predict_proba(X), explicit.predict_proba(X), atol=1e-6)


def test_classes_and_templates_can_be_changed_one_by_one(embedded, encoder):
    digits, templates = embedded.GLYPH_CLASSES, embedded.GLYPH_TEMPLATES
    for given in ({"classes": {9: "nine"}}, {"templates": "a {}"}):
        expected = {"classes": digits, "templates": templates, **given}
        np.testing.assert_allclose(
            ZeroShotTeacher(**given).fit().class_embeddings_,
            ZeroShotTeacher(encoder, **expected).fit().class_embeddings_,
            atol=1e-6,
        )


def test_other_encoders_have_a_template_of_their_own(embedded, encoder):
    np.testing.assert_array_equal(
        ZeroShotTeacher(encoder, NAMES).fit().class_embeddings_,
        ZeroShotTeacher(encoder, NAMES, "a photo of a {}.").fit().class_embeddings_,
    )


class Counting(OpenCLIPEncoder):
    """Counts the rows it is given, in all its clones."""

    images, texts = 0, 0

    def encode_image(self, X):
        Counting.images += len(X)
        return super().encode_image(X)

    def encode_text(self, texts):
        Counting.texts += len(texts)
        return super().encode_text(texts)


class Wrapper:
    """An encoder that is no estimator and counts on itself."""

    def __init__(self, encoder):
        self.encoder = encoder
        self.images = 0

    def encode_image(self, X):
        self.images += len(X)
        return self.encoder.encode_image(X)

    def encode_text(self, texts):
        return self.encoder.encode_text(texts)


class Head(ClassifierMixin, BaseEstimator):
    """Takes the teacher's probabilities for its own."""

    def __init__(self, shift=0):
        self.shift = shift

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return X.argmax(axis=1)


def search(teacher, X, y):
    grid = {"head__shift": [0, 1], "zeroshotteacher__logit_scale": [1.0, 100.0]}
    return GridSearchCV(make_pipeline(teacher, Head()), grid, cv=3).fit(X, y)


@pytest.fixture
def counting(tiny_clip, monkeypatch):
    monkeypatch.setattr(Counting, "images", 0)
    monkeypatch.setattr(Counting, "texts", 0)
    return Counting(tiny_clip.directory, cache=EmbeddingCache())


def test_a_grid_search_encodes_each_row_once(counting, X, y):
    search(ZeroShotTeacher(counting, NAMES, TEMPLATES), X, y)
    assert Counting.images == len(X)
    assert Counting.texts == len(NAMES) * len(TEMPLATES)


def test_overlapping_subsets_and_clones_encode_each_row_once(counting, X, y, tmp_path):
    teacher = ZeroShotTeacher(counting, dict(enumerate(NAMES)))
    paths = np.array(save(X, tmp_path))
    for rows in (slice(0, 5), slice(3, 9), slice(None, None, -1)):
        for copied in (clone(teacher), copy.deepcopy(teacher)):
            copied.fit().predict_proba(paths[rows])
    cross_val_score(teacher, paths, y, cv=3)
    assert Counting.images == len(X)


def test_a_patched_encoder_is_given_each_row_once(tiny_clip, X, y, monkeypatch):
    rows = []
    encode = OpenCLIPEncoder.encode_image
    teacher = ZeroShotTeacher(OpenCLIPEncoder(tiny_clip.directory), NAMES)
    before = teacher.fit().predict_proba(X)  # kept in the process-wide cache
    monkeypatch.setattr(
        OpenCLIPEncoder, "encode_image", lambda self, X: (rows.append(len(X)), encode(self, X))[1]
    )
    search(teacher, X, y)
    assert sum(rows) == len(X)
    np.testing.assert_allclose(teacher.predict_proba(X), before, atol=1e-6)


def test_a_wrapper_is_shared_by_clones_and_given_each_row_once(encoder, X, y):
    wrapper = Wrapper(encoder)
    teacher = ZeroShotTeacher(wrapper, NAMES)
    assert clone(make_pipeline(teacher)).steps[0][1].encoder is wrapper
    search(teacher, X, y)
    assert wrapper.images == len(X)


def test_an_encoder_patched_on_the_object_is_given_each_row_once(encoder, X):
    with mock.patch.object(encoder, "encode_image", wraps=encoder.encode_image) as patched:
        teacher = ZeroShotTeacher(encoder, NAMES).fit()
        teacher.predict_proba(X[:7])
        teacher.predict_proba(X)
    assert [len(call.args[0]) for call in patched.call_args_list] == [7, 5]


def test_any_object_with_both_methods_is_an_encoder():
    class Angles:
        def encode_image(self, X):
            return np.column_stack([np.cos(X), np.sin(X)])

        def encode_text(self, texts):
            return self.encode_image(np.array([float(text) for text in texts]))

    teacher = ZeroShotTeacher(Angles(), [0, 1, 2], "{}.0").fit()
    assert teacher.predict(np.array([0.9, 0.1, 2.2])).tolist() == [1, 0, 2]


def test_templates_average_after_and_before_normalizing():
    class Planar:
        def encode_text(self, texts):
            return np.array([[1.0, 0.0] if text == "a x" else [0.6, 0.8] for text in texts])

    embedding = embed_classes(Planar(), ["x"], ["a {}", "b {}"])
    np.testing.assert_allclose(embedding, np.array([[0.8, 0.4]]) / np.sqrt(0.8), atol=1e-6)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_of_a_fitted_teacher_predict_the_same(teacher, X, copied):
    proba = teacher.fit().predict_proba(X)
    np.testing.assert_array_equal(copied(teacher).predict_proba(X), proba)
    assert len(pickle.dumps(teacher)) < 20_000


def test_clones_are_unfitted_and_keep_their_settings(teacher):
    teacher.set_params(templates=TEMPLATES, logit_scale=5.0).fit()
    other = clone(teacher)
    assert not hasattr(other, "classes_")
    assert other.encoder is not teacher.encoder
    assert other.encoder.cache is teacher.encoder.cache
    assert (other.templates, other.logit_scale) == (TEMPLATES, 5.0)


def test_fit_ignores_data_and_tags_say_what_it_is(teacher, X, y):
    with_data = clone(teacher).fit(X, y).class_embeddings_
    np.testing.assert_array_equal(teacher.fit().class_embeddings_, with_data)
    tags = get_tags(teacher)
    assert tags.estimator_type == "classifier"
    assert tags.transformer_tags is not None
    assert not tags.target_tags.required
    assert not tags.input_tags.two_d_array
