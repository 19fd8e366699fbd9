"""The identity of an open_clip model: its content, wherever it is."""

import json
import os
import shutil

import numpy as np
import pytest

from skactivekd.cache import EmbeddingCache
from skactivekd.encoders import OpenCLIPEncoder, _sentence_models
from skactivekd.encoders._base import encode_rows
from skactivekd.utils import _row_identity


@pytest.fixture
def X():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def test_a_model_that_moved_still_hits_and_a_changed_one_never(tiny_clip, tmp_path, X):
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    first = encode_rows(OpenCLIPEncoder(tiny_clip.directory, cache=cache), X)
    moved = shutil.copytree(tiny_clip.directory, tmp_path / "moved", copy_function=shutil.copy)
    encode_rows(OpenCLIPEncoder(moved, cache=cache), X)
    assert len(cache) == 5
    config = json.loads((moved / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.1, 0.2, 0.3]
    (moved / "open_clip_config.json").write_text(json.dumps(config))
    other = encode_rows(OpenCLIPEncoder(moved, cache=cache), X)
    assert len(cache) == 10
    assert np.abs(first - other).max() > 1e-3


def test_a_checkpoint_counts_by_its_content(tiny_clip, tmp_path):
    moved = shutil.copy(tiny_clip.pt, tmp_path / "other-name.pt")
    prints = [
        OpenCLIPEncoder(tiny_clip.name, file, preprocess={}).fingerprint()
        for file in (tiny_clip.pt, moved, tiny_clip.safetensors)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = _row_identity.hash_model_file(file)
    with monkeypatch.context() as patch:
        patch.setattr(_row_identity, "hash_file", None)
        assert _row_identity.hash_model_file(file) == first
    file.write_bytes(b"two")
    os.utime(file, ns=(0, 0))
    assert _row_identity.hash_model_file(file) != first


def test_weights_replaced_with_size_and_time_kept_are_noticed(tmp_path, tiny_sentence):
    for place, hash_it in (
        (tmp_path / "weights.pt", _row_identity.hash_model_file),
        (shutil.copytree(tiny_sentence, tmp_path / "model"), _sentence_models.hash_folder),
    ):
        file = place / "model.safetensors" if place.is_dir() else place
        if place is file:
            file.write_bytes(bytes(100))
        content, status = bytearray(file.read_bytes()), file.stat()
        first = hash_it(place)
        content[-1] ^= 1
        (tmp_path / "new").write_bytes(content)
        os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
        os.replace(tmp_path / "new", file)
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (len(content), status.st_mtime_ns)
        assert hash_it(place) != first


@pytest.fixture
def hub(tmp_path, monkeypatch, tiny_clip):
    """A hub's cache that holds the model "some/clip", and a function that updates it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repo = tmp_path / "models--some--clip"

    def update(commit, change=lambda config: None):
        snapshot = repo / "snapshots" / commit
        shutil.copytree(tiny_clip.directory, snapshot)
        config = json.loads((snapshot / "open_clip_config.json").read_text())
        change(config)
        (snapshot / "open_clip_config.json").write_text(json.dumps(config))
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / "main").write_text(commit)

    return tmp_path, update


def test_a_model_of_the_hub_counts_by_its_content(hub, X):
    folder, update = hub
    encoder = OpenCLIPEncoder("hf-hub:some/clip", cache_dir=folder)
    with pytest.raises(RuntimeError, match="'hf-hub:some/clip' cannot be loaded"):
        encoder.fingerprint()
    update("a" * 40)
    first = encoder.fingerprint()
    assert len(encoder.encode_image(X)) == 5
    assert encoder.fingerprint() == first
    update("b" * 40)  # a new commit of the same files
    assert encoder.fingerprint() == first
    update("c" * 40, lambda config: config["preprocess_cfg"].update(mean=[0, 0, 0]))
    assert encoder.fingerprint() != first


def test_published_weights_count_by_the_content_of_the_download(tmp_path):
    encoder = OpenCLIPEncoder("ViT-B-32", "openai", cache_dir=tmp_path)
    file = tmp_path / "ViT-B-32.pt"
    file.write_bytes(b"one")
    first = encoder.fingerprint()
    file.write_bytes(b"others")
    assert encoder.fingerprint() != first
