"""Fixtures shared by the tests."""

import json
import os
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


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """A tiny random CLIP: `name` (registered), `directory`, `pt`, `safetensors`, `preprocess`."""
    return save_random_clip(tmp_path_factory.mktemp("clip"), "tiny-test-clip", seed=0)
