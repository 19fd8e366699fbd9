"""Tiny random two-tower models, saved as transformers saves them."""

from importlib.metadata import version

from tiny_models import make_tokenizer

IMAGES = ["clip", "siglip", "siglip2", "aimv2", "align", "altclip", "blip"]
if not version("transformers").startswith("4."):  # which fails on its texts
    IMAGES.append("chinese-clip")
SOUNDS = ["clap", "clap-fusion"]
_VISION = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "patch_size": 8,
}  # fmt: skip
_TEXT = {
    "vocab_size": 400, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip


def save(folder, kind, seed=0, scale=None):
    """Save a tiny random model of a kind and its processor; `scale` is the log of its scale."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, parts = _BUILD[kind]()
        for name, weight in model.named_parameters():  # random models say the same of all, else
            if weight.ndim > 1:
                weight.data.mul_(4)
            if scale is not None and name in ("logit_scale", "logit_scale_a"):
                weight.data.fill_(scale)
    model.eval().save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def _image_processor(kind="CLIPImageProcessor", **params):
    import transformers

    size = {"height": 16, "width": 16}
    if kind == "CLIPImageProcessor":
        params = {"size": {"shortest_edge": 16}, "crop_size": size}
    elif kind != "Siglip2ImageProcessor":
        params = {"size": size}
    return getattr(transformers, kind)(**params)


def _tokenizer(template="<s> $A </s>", **params):
    params = {
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 16,
        **params,
    }
    return make_tokenizer(template, **params)


def _clip():
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    config = CLIPConfig(
        text_config={**_TEXT, "max_position_embeddings": 16},
        vision_config={**_VISION, "image_size": 16},
        projection_dim=12,
    )
    return CLIPModel(config), [CLIPProcessor(_image_processor(), _tokenizer())]


def _siglip():
    from transformers import SiglipConfig, SiglipModel

    config = SiglipConfig(
        text_config={**_TEXT, "max_position_embeddings": 16, "projection_size": 16},
        vision_config={**_VISION, "image_size": 16},
    )
    tokenizer = _tokenizer("$A </s>", model_input_names=["input_ids"])
    return SiglipModel(config), [_image_processor("SiglipImageProcessor"), tokenizer]


def _siglip2():
    from transformers import Siglip2Config, Siglip2Model

    config = Siglip2Config(
        text_config={**_TEXT, "max_position_embeddings": 16, "projection_size": 16},
        vision_config={**_VISION, "num_patches": 16},
    )
    processor = _image_processor("Siglip2ImageProcessor", patch_size=8, max_num_patches=9)
    return Siglip2Model(config), [processor, _letters()]


def _letters():
    import transformers

    kind = getattr(transformers, "Siglip2Tokenizer", None)  # since transformers 5
    if kind is None:
        return _tokenizer("$A </s>", model_input_names=["input_ids"])
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *"abcdefghijklmnopqrstuvwxyz"]
    return kind(vocab={word: number for number, word in enumerate(words)}, model_max_length=16)


def _aimv2():
    from transformers import Aimv2Config, Aimv2Model, CLIPProcessor

    config = Aimv2Config(
        text_config={**_TEXT, "max_position_embeddings": 16},
        vision_config={**_VISION, "image_size": 16},
        projection_dim=12,
    )
    return Aimv2Model(config), [CLIPProcessor(_image_processor(), _tokenizer())]


def _align():
    from transformers import AlignConfig, AlignModel

    config = AlignConfig(
        text_config={**_TEXT, "max_position_embeddings": 32},
        vision_config={
            "image_size": 16, "width_coefficient": 0.2, "depth_coefficient": 0.1,
            "kernel_sizes": [3], "in_channels": [8], "out_channels": [8], "strides": [1],
            "num_block_repeats": [1], "expand_ratios": [1], "depthwise_padding": [],
            "hidden_dim": 16, "pooling_type": "mean",
        },
        projection_dim=8,
    )  # fmt: skip
    return AlignModel(config), [
        _image_processor("EfficientNetImageProcessor"),
        make_tokenizer("<s> $A </s>", model_max_length=32),
    ]


def _altclip():
    from transformers import AltCLIPConfig, AltCLIPModel

    config = AltCLIPConfig(
        text_config={**_TEXT, "max_position_embeddings": 17, "project_dim": 16},
        vision_config={**_VISION, "image_size": 16},
        projection_dim=12,
    )
    return AltCLIPModel(config), [_image_processor(), make_tokenizer("<s> $A </s>")]


def _chinese_clip():
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    config = ChineseCLIPConfig(
        text_config={**_TEXT, "max_position_embeddings": 16},
        vision_config={**_VISION, "image_size": 16},
        projection_dim=12,
    )
    return ChineseCLIPModel(config), [_image_processor(), make_tokenizer("<s> $A </s>")]


def _blip():
    from transformers import BlipConfig, BlipModel

    more = {"initializer_range": 0.05}  # its own is 1e-10
    config = BlipConfig(
        text_config={
            **_TEXT,
            "max_position_embeddings": 16,
            "sep_token_id": 2,
            "initializer_range": 0.05,
        },
        vision_config={**_VISION, **more, "image_size": 16},
        projection_dim=12,
    )
    return BlipModel(config), [_image_processor(), _tokenizer()]


def _clap(fusion=False):
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    config = ClapConfig(
        text_config={**_TEXT, "max_position_embeddings": 20, "pad_token_id": 0},
        audio_config={
            "spec_size": 32, "num_mel_bins": 8, "patch_size": 4, "patch_stride": [4, 4],
            "patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1],
            "num_attention_heads": [2, 2], "window_size": 4, "num_hidden_layers": 2,
            "enable_fusion": fusion, "num_classes": 3, "patch_embed_input_channels": 1,
            "aff_block_r": 2,
        },
        projection_dim=12,
    )  # fmt: skip
    extractor = ClapFeatureExtractor(
        feature_size=8, sampling_rate=8000, hop_length=80, max_length_s=1, fft_window_size=128,
        frequency_max=4000, truncation="fusion" if fusion else "rand_trunc",
    )  # fmt: skip
    return ClapModel(config), [extractor, _tokenizer(model_max_length=10**30)]


_BUILD = {
    "clip": _clip,
    "siglip": _siglip,
    "siglip2": _siglip2,
    "aimv2": _aimv2,
    "align": _align,
    "altclip": _altclip,
    "chinese-clip": _chinese_clip,
    "blip": _blip,
    "clap": _clap,
    "clap-fusion": lambda: _clap(fusion=True),
}
