"""Fixtures shared by the tests."""

import json
import os
import pathlib
import tempfile
from types import SimpleNamespace

import pytest

# The networks here are small: more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Not OpenAI's values, so that a test notices when they are not used.
PREPROCESS = {
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.25, 0.3),
    "interpolation": "bilinear",
    "resize_mode": "squash",
}
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 16,
        "patch_size": 8,
        "width": 32,
        "head_width": 16,
        "layers": 2,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 1,
    },
}


def save_random_clip(folder, name, seed):
    """Save a random open_clip model in all the forms a user may hold one."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / f"{name}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / "configs")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(name)
    state = model.state_dict()
    directory = folder / "directory"
    directory.mkdir()
    config = {"model_cfg": CONFIG, "preprocess_cfg": PREPROCESS}
    (directory / "open_clip_config.json").write_text(json.dumps(config))
    save_file(state, directory / "open_clip_model.safetensors")
    save_file(state, folder / "weights.safetensors")
    torch.save({"state_dict": state}, folder / "weights.pt")
    return SimpleNamespace(
        name=name,
        directory=directory,
        pt=folder / "weights.pt",
        safetensors=folder / "weights.safetensors",
        preprocess=PREPROCESS,
        config=CONFIG,
    )


@pytest.fixture(scope="session", autouse=True)
def _short_training():
    """Most tests ask how things fit together, not how well a student learns in 1,000 steps.

    Those marked `full_training`, doctests and other processes train as a user does.
    """
    from skactivekd.student import _correction_penalty, _training_length

    two = lambda n_labeled: (min(max(n_labeled, 1), 2),) * 2  # noqa: E731
    short = (
        (_training_length, "_STEPS", 200),
        (_training_length, "_EPOCHS", 40),
        (_correction_penalty, "_count_folds", two),
    )
    full = [(module, name, getattr(module, name)) for module, name, _ in short]
    with pytest.MonkeyPatch.context() as patch:
        for setting in short:
            patch.setattr(*setting)
        yield full


@pytest.fixture(autouse=True)
def _full_training(request, _short_training, monkeypatch):
    if isinstance(request.node, pytest.Function) and not request.node.get_closest_marker(
        "full_training"
    ):
        yield
        return
    from skactivekd.student._reuse_distilled import memory

    for setting in _short_training:
        monkeypatch.setattr(*setting)
    memory.clear()  # what was trained for less is not to be found there, nor the other way about
    yield
    memory.clear()


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """A tiny random CLIP: `name` (registered), `directory`, `pt`, `safetensors`, `preprocess`."""
    return save_random_clip(tmp_path_factory.mktemp("clip"), "tiny-test-clip", seed=0)


def save_random_sentence_model(folder, seed=0):
    """Save a tiny random BERT with mean pooling, as sentence-transformers does."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    model = folder / "model"
    (model / "1_Pooling").mkdir(parents=True)
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the a cat dog sat ran query :".split()
    (model / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(model)
    BertTokenizerFast(str(model / "vocab.txt")).save_pretrained(model)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
    (model / "modules.json").write_text(json.dumps(modules))
    (model / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
    (model / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return model


@pytest.fixture(scope="session")
def tiny_sentence(tmp_path_factory):
    """Directory of a tiny random sentence-transformers model of 16 dimensions."""
    return save_random_sentence_model(tmp_path_factory.mktemp("sentence"))


@pytest.fixture
def memory_path():
    """A folder in memory, where there is one: to wait for a disk is not what is tested."""
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=folder) as path:
        yield pathlib.Path(path)


@pytest.fixture(scope="module")
def driver():
    """A browser without a window."""
    pytest.importorskip("selenium")
    from page_tools import chromium

    driver = chromium()
    if driver is None:
        pytest.skip("needs chromium and chromedriver")
    yield driver
    driver.quit()
