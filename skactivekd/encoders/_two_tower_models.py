"""Two-tower models of transformers: one tower for texts, one for images or sounds."""

import functools
import inspect
import os
import threading

import numpy as np

from ._open_clip_models import warn_of_cuts
from ._sentence_models import stamp_folder
from ._transformers_folder import DTYPES, find_folder, loading

KINDS = {"image": "get_image_features", "audio": "get_audio_features"}
_LOCK = threading.RLock()  # fast tokenizers refuse a second thread
_EXAMPLES = "CLIP, SigLIP, SigLIP 2, AIMv2, ALIGN, AltCLIP, Chinese-CLIP or CLAP"
# They have methods of these names, but what these return is not in one space.
_APART = ("blip-2", "flava", "clvp")
# Positions of these begin behind that of the padding.
_OFFSET = ("roberta", "xlm-roberta", "clap_text_model", "altclip_text_model")
# Without padding in a batch its mask is left out, and texts look ahead of themselves.
_EAGER = ("aimv2",)
_ALIGN_TOKENS = 64  # of any text in its training, though BERT has room for 512


def find_kind(model, revision=None, cache_dir=None):
    """Tell what rows a model embeds beside texts: "image" or "audio"."""
    folder = find_folder(model, revision, cache_dir)
    return _find_kind(folder, os.stat(os.path.join(folder, "config.json")).st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _find_kind(folder, changed):
    try:
        import transformers
    except ImportError:
        raise ImportError(
            'TransformersEncoder needs transformers: pip install "skactivekd[transformers]".'
        ) from None
    try:
        safe = {"trust_remote_code": False, "local_files_only": True}
        config = transformers.AutoConfig.from_pretrained(folder, **safe)
    except Exception as error:  # of as many kinds as there are files
        raise ValueError(
            f"the model in {folder} is none that transformers knows without code of its own: "
            f"{str(error)[:300]}"
        ) from None
    kind = transformers.MODEL_MAPPING.get(type(config), None)
    kind = kind[0] if isinstance(kind, tuple) else kind
    found = [name for name, method in KINDS.items() if hasattr(kind, method)]
    if not found or not hasattr(kind, "get_text_features") or config.model_type in _APART:
        raise ValueError(
            f"the model in {folder} is a {config.model_type!r}, which does not embed texts and "
            f"rows into one space: TransformersEncoder takes models such as {_EXAMPLES}"
        )
    if config.model_type == "chinese_clip" and transformers.__version__.startswith("4."):
        raise ValueError(
            f"transformers {transformers.__version__} cannot embed the texts of Chinese-CLIP: "
            'pip install "transformers>=5"'
        )
    return found[0]


def load(folder, precision, device):
    """Load a model, once for all who ask with the same settings."""
    if precision not in DTYPES:
        raise ValueError(f"precision={precision!r} is not one of {', '.join(DTYPES)}")
    return _load(folder, stamp_folder(folder), precision, device)


@functools.lru_cache(maxsize=2)
def _load(folder, files, precision, device):
    import torch

    kind = find_kind(folder)
    with loading(folder, "TransformersEncoder"):
        import transformers

        safe = {"trust_remote_code": False, "local_files_only": True}
        model, info = transformers.AutoModel.from_pretrained(
            folder,
            use_safetensors=True,
            dtype=getattr(torch, DTYPES[precision]),
            output_loading_info=True,
            **safe,
        )
        if model.config.model_type in _EAGER:
            model.text_model.config._attn_implementation = "eager"
        missing = sorted(info["missing_keys"])
        if missing:
            raise ValueError(
                f"the weights lack {len(missing)} of the tensors of {type(model).__name__}, the "
                f"first {missing[0]!r}, which would be random numbers: save the whole model, "
                "both towers and their projections"
            )
        prepare = transformers.AutoFeatureExtractor if kind == "audio" else _image_processor()
        parts = prepare.from_pretrained(folder, **safe)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safe)
    return Towers(kind, model.to(device).eval().requires_grad_(False), parts, tokenizer)


def _image_processor():
    from transformers import AutoImageProcessor

    return AutoImageProcessor


class Batch(dict):
    """Tensors by the names that a tower takes them by, a row of each for each row."""

    def __len__(self):
        return len(next(iter(self.values())))


class Towers:
    """A model, what prepares its inputs, and the limits of both."""

    def __init__(self, kind, model, prepare, tokenizer):
        self.kind, self.model, self.prepare, self.tokenizer = kind, model, prepare, tokenizer
        text = model.config.text_config
        room = getattr(text, "max_position_embeddings", None) or 2**31
        if text.model_type in _OFFSET:
            room -= (getattr(text, "pad_token_id", 1) or 0) + 1
        if model.config.model_type == "align":
            room = min(room, _ALIGN_TOKENS)
        self.context_length = int(min(room, tokenizer.model_max_length))
        # SigLIP reads its last token, wherever the text ends.
        self.full = model.config.model_type.startswith("siglip")

    @property
    def rate(self):
        """Samples a second of the sounds that the model hears."""
        return int(self.prepare.sampling_rate)

    @property
    def window(self):
        """Samples of a sound that it hears at once."""
        return int(self.prepare.nb_max_samples)

    @property
    def shortest(self):
        """Samples of a sound that fill one frame of its spectrogram."""
        return int(self.prepare.fft_window_size)

    def prepare_image(self, image):
        """Turn an RGB image of PIL into what the tower takes, in a batch of one."""
        return Batch(self.prepare(images=[image], return_tensors="pt"))

    def prepare_sound(self, wave):
        """Turn a sound of at most a window into what the tower takes, in a batch of one."""
        import torch

        made = Batch(self.prepare(wave, sampling_rate=self.rate, return_tensors="pt"))
        if "is_longer" in made:  # else one short sound of a batch, drawn at random, counts as long
            made["is_longer"] = torch.zeros_like(made["is_longer"])
        return made

    def tokens(self, texts):
        """Turn texts into tokens, those beyond the limit cut."""
        with _LOCK:
            return Batch(
                self.tokenizer(
                    texts,
                    padding="max_length" if self.full else True,
                    truncation=True,
                    max_length=self.context_length,
                    return_tensors="pt",
                )
            )

    def warn_of_cuts(self, texts):
        """Warn of texts that lose their end."""
        limits = _Limits(self.tokenizer, self.context_length)
        warn_of_cuts(texts, limits)

    def blank(self, tower):
        """Return a batch of one row, which tells the width where there is no other."""
        if tower == "text":
            return self.tokens([""])
        if tower == "audio":
            return self.prepare_sound(np.zeros(self.window, dtype=np.float32))
        from PIL import Image

        return self.prepare_image(Image.new("RGB", (8, 8)))

    def forward(self, tower, batch):
        """Embed a batch."""
        method = getattr(self.model, f"get_{tower}_features")
        known = inspect.signature(method).parameters
        inputs = {name: self._place(value) for name, value in batch.items() if name in known}
        found = method(**inputs)
        rows = getattr(found, "pooler_output", found)  # since transformers 5 beside other outputs
        if getattr(rows, "ndim", 0) != 2:
            raise ValueError(
                f"{type(self.model).__name__} gives no row for each {tower}: TransformersEncoder "
                f"takes models such as {_EXAMPLES}"
            )
        return rows

    def _place(self, value):
        dtype = self.model.dtype if value.is_floating_point() else None
        return value.to(device=self.model.device, dtype=dtype)

    def read_scale(self):
        """Return what the model multiplies cosines by, 0.0 where it has no such number."""
        model = self.model
        if hasattr(model, "temperature"):  # ALIGN
            return 1 / float(model.temperature.detach().float())
        scale = getattr(model, "logit_scale_a", getattr(model, "logit_scale", None))
        if scale is None:
            return 0.0
        limit = getattr(model, "max_log_logit_scale", np.inf)  # AIMv2
        return float(np.exp(min(float(scale.detach().float()), limit)))


class _Limits:
    """A tokenizer as `warn_of_cuts` asks for it."""

    def __init__(self, tokenizer, context_length):
        self.tokenizer, self.context_length = tokenizer, context_length

    @staticmethod
    def clean_fn(text):
        return text


def stack(batches):
    """Join batches of one row."""
    import torch

    return Batch({name: torch.cat([batch[name] for batch in batches]) for name in batches[0]})
