"""OpenCLIPEncoder: every way to name a model, and nothing left changed behind it."""

import copy
import json
import logging
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import ImageError, OpenCLIPEncoder, SkippedRowsWarning, _open_clip_models


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).integers(0, 256, (7, 20, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def encoder(tiny_clip):
    return OpenCLIPEncoder(tiny_clip.directory, device="cpu")


@pytest.fixture(scope="module")
def expected(tiny_clip, X):
    """The embeddings as open_clip itself gives them."""
    import open_clip
    import torch

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip.directory}")
    model.eval()
    with torch.no_grad():
        images = torch.stack([transform(Image.fromarray(x)) for x in X])
        return model.encode_image(images, normalize=True).numpy()


def test_images_agree_with_open_clip(encoder, X, expected):
    embeddings = encoder.encode_image(X)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


def test_texts_agree_with_open_clip(tiny_clip, encoder):
    import open_clip
    import torch

    name = f"local-dir:{tiny_clip.directory}"
    model, texts = open_clip.create_model(name), ["a cat", "two dogs.", "a cat"]
    with torch.no_grad():
        tokens = open_clip.get_tokenizer(name)(texts)
        expected = model.eval().encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_text(texts), expected, atol=1e-6)


SOURCES = {
    "directory in model": lambda clip: OpenCLIPEncoder(str(clip.directory)),
    "local-dir in model": lambda clip: OpenCLIPEncoder(f"local-dir:{clip.directory}"),
    "directory in pretrained": lambda clip: OpenCLIPEncoder(clip.name, clip.directory),
    "local-dir in pretrained": lambda clip: OpenCLIPEncoder(None, f"local-dir:{clip.directory}"),
    "pt": lambda clip: OpenCLIPEncoder(clip.name, str(clip.pt), preprocess=clip.preprocess),
    "safetensors": lambda clip: OpenCLIPEncoder(
        clip.name, clip.safetensors, preprocess=clip.preprocess
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_embeddings(tiny_clip, X, expected, source):
    encoder = SOURCES[source](tiny_clip)
    np.testing.assert_allclose(encoder.encode_image(X), expected, atol=1e-6)


def test_home_and_relative_places(tiny_clip, X, expected, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_clip.directory.parent))
    monkeypatch.chdir(tiny_clip.directory.parent)
    for place in ("~/directory", "local-dir:~/directory", "directory", "local-dir:directory"):
        np.testing.assert_allclose(OpenCLIPEncoder(place).encode_image(X), expected, atol=1e-6)
    file = OpenCLIPEncoder(tiny_clip.name, "~/weights.pt", preprocess=tiny_clip.preprocess)
    np.testing.assert_allclose(file.encode_image(X), expected, atol=1e-6)


def test_a_bare_file_warns_each_time_and_uses_openai_preprocessing(tiny_clip, X, expected):
    encoder = OpenCLIPEncoder(tiny_clip.name, tiny_clip.pt)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"how images were prepared.*preprocess="):
            embeddings = clone(encoder).encode_image(X)
    assert np.abs(embeddings - expected).max() > 1e-2
    silent = encoder.set_params(preprocess={}).encode_image(X)
    np.testing.assert_array_equal(silent, embeddings)


def test_preprocess_changes_what_it_names_only(tiny_clip, X, expected):
    same = OpenCLIPEncoder(tiny_clip.directory, preprocess={"mean": [0.5, 0.4, 0.3]})
    np.testing.assert_allclose(same.encode_image(X), expected, atol=1e-6)
    other = OpenCLIPEncoder(tiny_clip.directory, preprocess={"resize_mode": "shortest"})
    assert np.abs(other.encode_image(X) - expected).max() > 1e-3


def test_a_directory_of_another_architecture_warns(tiny_clip, X):
    with pytest.warns(UserWarning, match="another architecture than model='ViT-B/32'"):
        OpenCLIPEncoder("ViT-B/32", tiny_clip.directory).encode_image(X)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"model": "ViT-B-32"}, r"random weights.*openai, .*laion2b_s34b_b79k"),
        ({"model": "ViTB32", "pretrained": "openai"}, "did you mean ViT-B-32"),
        ({"model": "qqqqq", "pretrained": "openai"}, "list_models"),
        ({"model": "ViT-B-32", "pretrained": "opnai"}, r"no file here.*no tag.*openai"),
        ({"model": "ViT-B-32", "pretrained": "/no/such.pt"}, r"/no/such\.pt.*no file"),
        ({"pretrained": "openai"}, "needs the name of its architecture"),
        ({"model": "hf-hub:a/b", "pretrained": "openai"}, "must be None"),
        ({"model": "ViT-B-32", "pretrained": "hf-hub:a/b"}, "drop `model`"),
        ({"model": "local-dir:/a", "pretrained": "local-dir:/b"}, "drop `model`"),
        ({"precision": "fp8"}, "precision='fp8' is not one of fp32"),
        ({"precision": "amp"}, "precision='amp'"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, r"batch_size=2\.5"),
        ({"preprocess": {"size": 3}}, "key 'size'"),
        ({"preprocess": {"interpolation": "nearest"}}, "not .*bicubic"),
        ({"preprocess": {"mean": 0.5}}, "three numbers"),
    ],
)
def test_wrong_settings_raise_with_a_hint(tiny_clip, X, params, match):
    if not {"model", "pretrained"} & params.keys():
        params = {"model": tiny_clip.directory, **params}
    with pytest.raises(ValueError, match=match):
        OpenCLIPEncoder(**params).encode_image(X)


def test_wrong_directories_raise(tiny_clip, X, tmp_path):
    with pytest.raises(FileNotFoundError, match="no directory /no/such"):
        OpenCLIPEncoder("local-dir:/no/such").encode_image(X)
    with pytest.raises(FileNotFoundError, match=r"holds no open_clip_config\.json"):
        OpenCLIPEncoder(f"local-dir:{tmp_path}").encode_image(X)
    with pytest.raises(ValueError, match=r"holds no open_clip_config\.json.*checkpoint file"):
        OpenCLIPEncoder(tiny_clip.name, tmp_path).encode_image(X)


def test_a_directory_without_weights_never_gives_random_ones(tiny_clip, X, tmp_path):
    shutil.copy(tiny_clip.directory / "open_clip_config.json", tmp_path)
    with pytest.raises(ValueError, match=r"(?s)cannot be loaded.*open_clip_model\.safetensors"):
        OpenCLIPEncoder(tmp_path).encode_image(X)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(ValueError, match="model_cfg"):
        OpenCLIPEncoder(tmp_path).encode_image(X)


def test_weights_of_another_architecture_raise(tiny_clip, X):
    encoder = OpenCLIPEncoder("RN50", tiny_clip.safetensors, preprocess={})
    with pytest.raises(ValueError, match=r"weights\.safetensors of model 'RN50' cannot be loaded"):
        encoder.encode_image(X)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        (("ViT-B-32", "laion2b_s34b_b79k"), r"'ViT-B-32' with the weights 'laion2b_s34b_b79k'"),
        (
            ("hf-hub:laion/no-such",),
            r"'hf-hub:laion/no-such' cannot be loaded \(HF_HUB_OFFLINE is set\)",
        ),
    ],
)
def test_a_missing_download_names_model_and_way_out(X, tmp_path, monkeypatch, params, match):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RuntimeError, match=match) as error:
        OpenCLIPEncoder(*params, cache_dir=tmp_path).encode_image(X)
    assert "local-dir:/path" in str(error.value)
    assert "/path/to/checkpoint" in str(error.value)


def test_local_models_need_no_network(tiny_clip, X, expected, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    _open_clip_models.load_model.cache_clear()
    encoder = OpenCLIPEncoder(tiny_clip.directory)
    np.testing.assert_allclose(encoder.encode_image(X), expected, atol=1e-6)
    assert encoder.encode_text(["a cat"]).shape == (1, 16)


def test_bad_files_are_all_named(encoder, X, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path in paths[:2]:
        Image.fromarray(X[0]).save(path)
    remedy = "mend or leave out these rows, or in OpenCLIPEncoder set on_error='skip':"
    with pytest.raises(ImageError, match=f"3 images cannot be read; {remedy}") as error:
        encoder.encode_image(paths)
    assert sorted(error.value.bad) == [2, 3, 4]


@pytest.mark.parametrize("n_workers", [None, 0, 1, 4])
def test_workers_do_not_change_embeddings(encoder, X, expected, tmp_path, n_workers):
    paths = [tmp_path / f"{i}.png" for i in range(len(X))]
    for path, x in zip(paths, X, strict=True):
        Image.fromarray(x).save(path)
    threads = threading.active_count()
    reader = clone(encoder).set_params(n_workers=n_workers, batch_size=2)
    np.testing.assert_allclose(reader.encode_image(paths), expected, atol=1e-6)
    assert threading.active_count() == threads


@pytest.mark.parametrize("n_workers", [-1, 1.5, "all"])
def test_a_wrong_number_of_workers_raises(encoder, X, n_workers):
    with pytest.raises(ValueError, match="n_workers"):
        clone(encoder).set_params(n_workers=n_workers).encode_image(X)


def test_an_error_in_the_model_ends_the_workers(encoder, X, tmp_path, monkeypatch):
    def fail(images):
        raise KeyboardInterrupt

    model, _, _ = encoder._load_model()
    monkeypatch.setattr(model, "encode_image", fail)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        clone(encoder).set_params(n_workers=2, batch_size=1).encode_image(X)
    assert threading.active_count() == threads


def test_skipped_rows_are_nan_and_all_named(encoder, X, expected, tmp_path):
    rows = [Image.fromarray(x) for x in X]
    rows[1], rows[4] = tmp_path / "missing.png", None
    skipping = clone(encoder).set_params(on_error="skip", batch_size=2)
    with pytest.warns(SkippedRowsWarning, match=r"(?s)row 1: .*missing.*row 4: None") as caught:
        embeddings = skipping.encode_image(rows)
    assert len(caught) == 1
    assert sorted(caught[0].message.bad) == [1, 4]
    assert np.isnan(embeddings[[1, 4]]).all()
    good = [0, 2, 3, 5, 6]
    np.testing.assert_allclose(embeddings[good], expected[good], atol=1e-6)


def test_where_every_row_is_skipped_the_width_is_right(encoder):
    skipping = clone(encoder).set_params(on_error="skip")
    with pytest.warns(SkippedRowsWarning):
        assert skipping.encode_image([None, "no.png"]).shape == (2, 16)
    with pytest.warns(SkippedRowsWarning):
        assert skipping.encode_text([None]).shape == (1, 16)


def test_an_embedding_that_is_nan_is_named(encoder, X, monkeypatch):
    model, _, _ = encoder._load_model()
    encode = model.encode_image
    monkeypatch.setattr(model, "encode_image", lambda images: encode(images).log())
    with pytest.raises(ImageError, match="row 0: the model gives it an embedding of norm nan"):
        encoder.encode_image(X)


def test_batch_size_does_not_change_embeddings(encoder, X):
    texts = [f"number {i}" for i in range(7)]
    single = clone(encoder).set_params(batch_size=1)
    many = clone(encoder).set_params(batch_size=1000)
    np.testing.assert_allclose(single.encode_image(X), many.encode_image(X), atol=1e-6)
    np.testing.assert_allclose(single.encode_text(texts), many.encode_text(texts), atol=1e-6)


def test_the_same_to_the_bit_twice(encoder, X):
    np.testing.assert_array_equal(encoder.encode_image(X), clone(encoder).encode_image(X))


def test_low_precision_stays_close_and_returns_float32(tiny_clip, X, expected):
    encoder = OpenCLIPEncoder(tiny_clip.directory, precision="bf16", device="cpu")
    embeddings = encoder.encode_image(X)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, expected, atol=0.05)
    assert np.abs(embeddings - expected).max() > 1e-5


@pytest.mark.parametrize(
    ("texts", "error", "match"),
    [
        ("a cat", TypeError, r"one str.*\[texts\]"),
        (["a cat", 3], TypeError, r"row 1: 3 is a int, not a str"),
        ([], ValueError, "no text"),
    ],
)
def test_wrong_texts_raise(encoder, texts, error, match):
    with pytest.raises(error, match=match):
        encoder.encode_text(texts)


def test_texts_that_do_not_fit_are_warned_of(encoder):
    encoder.encode_text(["one " * 14])
    with pytest.warns(UserWarning, match="1 texts are longer than the model's 16 tokens"):
        encoder.encode_text(["short", "one " * 15])


def test_global_state_is_left_as_found(tiny_clip, X, monkeypatch):
    import torch

    _open_clip_models.load_model.cache_clear()
    _open_clip_models.load_tokenizer.cache_clear()
    monkeypatch.setattr(logging.root, "handlers", [])

    def state():
        numpy_state = np.random.get_state()
        return [*map(str, numpy_state), torch.get_rng_state().tolist(), torch.get_num_threads()]

    before = state()
    encoder = OpenCLIPEncoder(tiny_clip.directory)
    encoder.encode_image(X)
    encoder.encode_text(["a cat"])
    assert state() == before
    assert torch.is_grad_enabled()
    assert logging.root.handlers == []


def test_clones_share_the_loaded_model(encoder, X, monkeypatch):
    import open_clip

    encoder.encode_image(X)
    monkeypatch.setattr(open_clip, "create_model_from_pretrained", None)
    clone(encoder).set_params(batch_size=3).encode_image(X)


def test_the_model_is_loaded_for_inference(encoder):
    model, _, _ = encoder._load_model()
    assert not any(module.training for module in model.modules())
    assert not any(weight.requires_grad for weight in model.parameters())


def test_a_changed_checkpoint_is_loaded_anew(tiny_clip, X, tmp_path):
    import torch

    file = tmp_path / "weights.pt"
    shutil.copy(tiny_clip.pt, file)
    encoder = OpenCLIPEncoder(tiny_clip.name, file, preprocess={})
    first, fingerprint = encoder.encode_image(X), encoder.fingerprint()
    state = torch.load(file)["state_dict"]
    state["visual.proj"] *= -1
    torch.save(state, file)
    os.utime(file, ns=(0, 0))
    assert encoder.fingerprint() != fingerprint
    assert np.abs(encoder.encode_image(X) - first).max() > 1e-2


@pytest.mark.parametrize("copied", [clone, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_hold_no_model_and_encode_the_same(encoder, X, copied):
    embeddings = encoder.encode_image(X)
    assert len(pickle.dumps(encoder)) < 5000
    np.testing.assert_array_equal(copied(encoder).encode_image(X), embeddings)


def test_fingerprint_follows_what_embeddings_depend_on(tiny_clip, encoder):
    same = [
        {"device": "auto"},
        {"batch_size": 3},
        {"n_workers": 3},
        {"on_error": "skip"},
        {"cache": EmbeddingCache()},
        {"cache_dir": "x"},
        {"verbose": 1},
        {"model": f"local-dir:{tiny_clip.directory}"},
        {"model": None, "pretrained": str(tiny_clip.directory)},
    ]
    other = [
        {"precision": "bf16"},
        {"preprocess": {"mean": (0.5, 0.5, 0.5)}},
        {"model": tiny_clip.name, "pretrained": tiny_clip.pt},
        {"model": tiny_clip.name, "pretrained": tiny_clip.safetensors},
    ]
    fingerprint = encoder.fingerprint()
    assert isinstance(fingerprint, str)
    assert {clone(encoder).set_params(**params).fingerprint() for params in same} == {fingerprint}
    others = {clone(encoder).set_params(**params).fingerprint() for params in other}
    assert len(others - {fingerprint}) == len(other)


def test_fingerprint_tells_subclasses_and_their_parameters_apart(encoder):
    class Flipped(OpenCLIPEncoder):
        def __init__(self, model=None, flip=False):
            super().__init__(model)
            self.flip = flip

        def get_params(self, deep=True):
            return {"model": self.model, "flip": self.flip}

    prints = {Flipped(encoder.model, flip).fingerprint() for flip in (False, True)}
    assert len({encoder.fingerprint(), *prints}) == 3


def test_progress_is_shown_when_asked_for(encoder, X, capsys, monkeypatch):
    encoder.encode_image(X)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("skactivekd.utils._progress_bar.LATE", 0)
    clone(encoder).set_params(verbose=1).encode_image(X)
    assert "7/7" in capsys.readouterr().err


def test_init_only_stores():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = OpenCLIPEncoder("no-such-model", 3, device="x", batch_size=-1)
    assert set(vars(encoder)) == set(encoder.get_params())


def test_the_import_is_light():
    code = (
        "import sys, skactivekd as s; s.ZeroShotTeacher(s.OpenCLIPEncoder());"
        "assert not {'torch', 'open_clip', 'PIL', 'matplotlib'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
