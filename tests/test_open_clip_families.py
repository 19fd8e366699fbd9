"""open_clip models of every family: offline from a directory, and named where they are missing."""

import json
import re
import socket

import numpy as np
import pytest
from PIL import Image

from skactivekd import OpenCLIPEncoder
from skactivekd.encoders import _open_clip_models

TEXT = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
HF_TEXT = {"context_length": 12, "vocab_size": 16, "hf_tokenizer_name": "org/tiny"}
VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1}
FAMILIES = {
    "ViT": {"vision_cfg": VIT, "text_cfg": TEXT},
    "ModifiedResNet": {
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": TEXT,
    },
    "ConvNeXt": {
        "vision_cfg": {"timm_model_name": "test_convnext", "timm_pool": "", "image_size": 32},
        "text_cfg": TEXT,
    },
    "SigLIP": {
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_pool": "map",
            "timm_proj": "none",
            "image_size": 32,
        },
        "text_cfg": {
            **HF_TEXT,
            "width": 64,
            "heads": 2,
            "layers": 1,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "tokenizer_kwargs": {"clean": "canonicalize"},
        },
        "custom_text": True,
        "init_logit_bias": -10,
        "embed_dim": 64,
    },
    "CoCa": {
        "vision_cfg": {
            **VIT,
            "attentional_pool": True,
            "attn_pooler_heads": 2,
            "output_tokens": True,
        },
        "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**TEXT, "attn_pooler_heads": 2},
        "custom_text": True,
    },
    "text tower of transformers": {
        "vision_cfg": VIT,
        "text_cfg": {**HF_TEXT, "hf_proj_type": "linear", "hf_pooler_type": "cls_pooler"},
    },
}
TEXTS = ["a cat", "two dogs.", ""]


def save_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "a", "cat", "two", "dogs"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)


def save_text_tower(folder):
    from transformers import BertConfig

    BertConfig(
        vocab_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    ).save_pretrained(folder)
    return str(folder)


def save_model(folder, family):
    """Save a small random model of a family as open_clip's directories are."""
    import open_clip
    import torch
    from safetensors.torch import save_model

    config = {"embed_dim": 16, **json.loads(json.dumps(FAMILIES[family]))}
    if "hf_tokenizer_name" in config["text_cfg"]:
        save_tokenizer(folder)
    if family.startswith("text tower"):
        config["text_cfg"]["hf_model_name"] = save_text_tower(folder)
    (folder / "configs").mkdir()
    (folder / "configs" / f"{folder.name}.json").write_text(json.dumps(config))
    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.1], "resize_mode": "squash"}
    whole = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    open_clip.add_model_config(folder / "configs")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.create_model(folder.name, pretrained_hf=False)
    save_model(model, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def test_a_family_loads_offline_and_agrees_with_open_clip(family, tmp_path, no_network):
    import open_clip
    import torch

    folder = save_model(tmp_path, family)
    X = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
    name = f"local-dir:{folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    with torch.no_grad():
        pixels = torch.stack([transform(Image.fromarray(x)) for x in X])
        images = model.eval().encode_image(pixels, normalize=True).numpy()
        tokens = open_clip.get_tokenizer(name)(TEXTS)
        texts = model.encode_text(tokens, normalize=True).numpy()
    encoder = OpenCLIPEncoder(folder, device="cpu", batch_size=2)
    np.testing.assert_allclose(encoder.encode_image(X), images, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_text(TEXTS), texts, atol=1e-6)
    assert np.abs(np.diff(images, axis=0)).max() > 1e-4
    assert np.abs(np.diff(texts, axis=0)).max() > 1e-4
    with pytest.warns(UserWarning, match="1 texts are longer than the model's 12 tokens"):
        encoder.encode_text(["a cat " * 3, "a cat " * 10])


def test_a_directory_without_the_tokenizer_says_so(tmp_path, no_network):
    folder = save_model(tmp_path, "SigLIP")
    for file in folder.glob("token*"):
        file.unlink()
    with pytest.raises(RuntimeError, match="the tokenizer of model 'local-dir:"):
        OpenCLIPEncoder(folder).encode_text(["a cat"])


def test_a_text_tower_that_is_not_here_is_named_with_the_way_out(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = save_model(tmp_path, "text tower of transformers")
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "org/no-such-tower"
    file.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"(?s)cannot be loaded.*org/no-such-tower.*hf_model_name"):
        OpenCLIPEncoder(folder).encode_text(["a cat"])


@pytest.fixture
def no_download(monkeypatch):
    """Let every download fail, as without a network."""
    from open_clip import factory

    def fail(*args, **kwargs):
        raise OSError("network is unreachable")

    monkeypatch.setattr(factory, "download_pretrained", fail)


def listed():
    import open_clip

    return [name for name in open_clip.list_models() if not re.search("test|tiny-", name)]


def test_every_published_tag_reaches_the_download_and_its_lack_is_named(no_download):
    import open_clip

    tags = [tag for tag in open_clip.list_pretrained() if tag[0] in listed()]
    assert len(tags) > 100
    for name, tag in tags:
        with pytest.raises(RuntimeError, match="network is unreachable") as error:
            OpenCLIPEncoder(name, tag).encode_text(["a cat"])
        assert f"model {name!r} with the weights {tag!r}" in str(error.value)
        assert "OpenCLIPEncoder('local-dir:/path/to/directory')" in str(error.value)


def test_every_listed_architecture_takes_a_file_or_says_which_tags_there_are(tmp_path, monkeypatch):
    import open_clip

    file, asked = tmp_path / "weights.pt", []
    file.touch()

    def create(name, pretrained, **options):
        asked.append((name, pretrained))
        raise OSError("nothing in it")

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", create)
    for name in listed():
        with pytest.raises(ValueError, match="nothing in it"):
            OpenCLIPEncoder(name, file, preprocess={}).encode_text(["a cat"])
        with pytest.raises(ValueError, match=re.escape(repr(name)) + ".*random weights"):
            OpenCLIPEncoder(name).encode_text(["a cat"])
    assert asked == [(name, str(file)) for name in listed()]
    assert len(asked) > 100


BUILT = [
    "ViT-B-32",
    "convnext_base",
    "RN50",
    "coca_ViT-B-32",
    "ViT-B-16-SigLIP",
    "MobileCLIP-S1",
    pytest.param("PE-Core-B-16", marks=pytest.mark.thorough),  # ten seconds
]


def test_weights_trained_with_quick_gelu_get_it(no_download, monkeypatch):
    import open_clip

    asked = {}
    create = open_clip.create_model_from_pretrained

    def spy(name, pretrained, **options):
        asked[name, pretrained] = options["force_quick_gelu"]
        return create(name, pretrained, **options)

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", spy)
    for tag in ("openai", "laion2b_s34b_b79k"):
        with pytest.raises(RuntimeError, match="unreachable"):
            OpenCLIPEncoder("ViT-B-32", tag).encode_text(["a cat"])
    assert asked == {("ViT-B-32", "openai"): True, ("ViT-B-32", "laion2b_s34b_b79k"): False}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_published_architectures_are_built_by_the_encoder(name, tmp_path, monkeypatch):
    """Without their weights: on torch's meta device nothing is computed."""
    import open_clip
    import torch
    from open_clip import factory

    monkeypatch.setattr(factory, "download_pretrained", lambda *args, **kwargs: "downloaded.pt")
    monkeypatch.setattr(factory, "load_checkpoint", lambda *args, **kwargs: None)
    _open_clip_models.load_model.cache_clear()
    tag = open_clip.list_pretrained_tags_by_model(name)[0]
    with torch.device("meta"):
        model, transform, _ = OpenCLIPEncoder(name, tag, device="meta")._load_model()
        pixels = torch.stack([transform(Image.new("RGB", (40, 30)))] * 2).to("meta")
        assert model.encode_image(pixels).shape[0] == 2
    _open_clip_models.load_model.cache_clear()
