"""Tiny random generative models, saved as transformers saves them, with tokenizers of their own."""

import functools
import shutil

WORDS = [
    "the row says that a cat sat on the mat and the dog ran far from the small red fox",
    "Which of these fits the text best: Question Answer: picture show? user assistant system",
    "cat dog red fox gray wolf catfish terrier hound bird owl cat food of the sea",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<image>", "<|user|>", "<|assistant|>", "<|system|>"]
SPECIAL += ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}IMAGE"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@functools.lru_cache(maxsize=1)
def _byte_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    return tokenizer.to_str()


def make_tokenizer(template, kind=None, **params):
    import transformers
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_str(_byte_tokenizer())
    if template:
        tokens = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=tokens
        )
    kind = kind or transformers.PreTrainedTokenizerFast
    return kind(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        **params,
    )


def save(folder, kind, chat=False, seed=0):
    """Save a tiny random model of a kind: "llama", "gpt2", "t5", "bart", "llava" or "qwen2-vl"."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, parts = {
            "llama": _llama,
            "gpt2": _gpt2,
            "sliding": _sliding,
            "t5": _t5,
            "bart": _bart,
            "llava": _llava,
            "qwen2-vl": _qwen2_vl,
        }[kind]()
        for weight in model.parameters():  # random models say the same of all, but for this
            if weight.ndim > 1:
                weight.data.mul_(6)
    if chat:
        parts.chat_template = CHAT.replace("IMAGE", IMAGES.get(kind, ""))
    model.eval().save_pretrained(folder)
    parts.save_pretrained(folder)
    return folder


IMAGES = {"llava": "<image>", "qwen2-vl": "<|vision_start|><|image_pad|><|vision_end|>"}
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
_IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_LLAMA = {
    "vocab_size": 400,
    "intermediate_size": 24,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    **_SIZES,
    **_IDS,
}


def _llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_LLAMA)), make_tokenizer("<s> $A")


def _gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=400, n_embd=16, n_layer=2, n_head=2, n_positions=256, **_IDS)
    return GPT2LMHeadModel(config), make_tokenizer("")


def _sliding():
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(sliding_window=8, **_LLAMA)), make_tokenizer(
        "<s> $A </s>"
    )


def _t5():
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=400, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=2,
    )  # fmt: skip
    return T5ForConditionalGeneration(config), make_tokenizer("$A </s>")


def _bart():
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig(
        vocab_size=400, d_model=16, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2,
        max_position_embeddings=128, decoder_start_token_id=2, **_IDS,
    )  # fmt: skip
    return BartForConditionalGeneration(config), make_tokenizer("<s> $A </s>")


def _llava():
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        image_size=16, patch_size=8, projection_dim=16,
    )  # fmt: skip
    text = LlamaConfig(**_LLAMA)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=3)
    size = {"height": 16, "width": 16}
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=size),
        make_tokenizer("<s> $A", extra_special_tokens={"image_token": "<image>"}),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return LlavaForConditionalGeneration(config), processor


def _qwen2_vl():
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
        __version__,
    )

    kind = None
    if __version__.startswith("4."):  # whose processors look at the class
        from transformers import Qwen2TokenizerFast as kind

    rope = {
        "type": "default",
        "rope_type": "default",
        "mrope_section": [2, 1, 1],
        "rope_theta": 1e4,
    }
    ids = {name: SPECIAL.index(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    ids = {f"{name}_token_id": number for name, number in ids.items()}
    pads = {"image_token_id": 9, "video_token_id": 10}
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 4}
    config = Qwen2VLConfig(
        text_config={
            **_LLAMA,
            "hidden_size": 32,
            "rope_scaling": rope,
            "rope_parameters": rope,
            **ids,
        },
        vision_config={**vision, "spatial_merge_size": 2, "mlp_ratio": 2},
        **ids,
        **pads,
    )
    size = {"patch_size": 4, "merge_size": 2, "min_pixels": 64, "max_pixels": 1024}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(**size),
        make_tokenizer("", kind),
        Qwen2VLVideoProcessor(**size),
    )
    return Qwen2VLForConditionalGeneration(config), processor


def copy(folder, to):
    """Copy a model's folder."""
    shutil.copytree(folder, to)
    return to
