"""Frozen encoders: images or texts to embeddings of norm 1."""

import numbers
import os
import warnings

from sklearn.base import BaseEstimator

from . import _open_clip, _sources
from ._images import check_images, image_batches

_RUNTIME = ("model", "pretrained", "device", "batch_size", "cache", "cache_dir", "verbose")


class OpenCLIPEncoder(BaseEstimator):
    """Embeddings of images and texts from any open_clip model.

    The model loads at the first use and is shared by all encoders of the same
    settings; it is never part of a pickle or a clone.

    Parameters
    ----------
    model : str, path or None, default=None
        Architecture, as in ``open_clip.list_models()``; a directory that
        holds ``open_clip_config.json`` (also as "local-dir:/path"); or
        "hf-hub:org/name". None loads the small model of this package, which
        knows digits only.
    pretrained : str, path or None, default=None
        Weights of an architecture: a tag such as "openai" or
        "laion2b_s34b_b79k", a checkpoint file, or a directory as above,
        which brings its own architecture. Downloads obey ``HF_HUB_OFFLINE``.
    device : {"auto"}, str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's MPS, then the CPU.
    batch_size : int, default=64
        Images or texts in one forward pass.
    precision : {"fp32", "fp16", "bf16", "pure_fp16", "pure_bf16"}, default="fp32"
        Of weights and activations, as open_clip has it. Embeddings are
        float32 always.
    preprocess : dict or None, default=None
        What to change in the preparation of images: "mean", "std" (three
        numbers each, for pixels in [0, 1]), "interpolation" ("bicubic" or
        "bilinear"), "resize_mode" ("shortest", "longest" or "squash"). A bare
        checkpoint file does not say how its images were prepared: without
        this, OpenAI's way is used with a warning. Pass ``{}`` if it is right.
    cache : EmbeddingCache, False or None, default=None
        Where teachers keep this encoder's embeddings: None is one cache for
        the process, False none. `encode_image` itself always encodes.
    cache_dir : str, path or None, default=None
        Where downloads are kept; None is open_clip's choice.
    verbose : int, default=0
        1 or more shows a progress bar.

    See Also
    --------
    ZeroShotTeacher : Class probabilities from these embeddings.

    Notes
    -----
    Images become RGB before they are resized. Like open_clip, the encoder
    ignores alpha channels and the orientation noted in a photograph's EXIF.

    References
    ----------
    .. [1] A. Radford et al. "Learning Transferable Visual Models From Natural
       Language Supervision". ICML 2021. arXiv:2103.00020.
    .. [2] G. Ilharco et al. "OpenCLIP". 2021. doi:10.5281/zenodo.5143773.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import OpenCLIPEncoder
    >>> encoder = OpenCLIPEncoder()
    >>> images = encoder.encode_image(np.zeros((2, 8, 8), dtype=np.uint8))
    >>> texts = encoder.encode_text(["the digit seven"])
    >>> (images @ texts.T).shape
    (2, 1)
    """

    def __init__(
        self,
        model=None,
        pretrained=None,
        *,
        device="auto",
        batch_size=64,
        precision="fp32",
        preprocess=None,
        cache=None,
        cache_dir=None,
        verbose=0,
    ):
        self.model = model
        self.pretrained = pretrained
        self.device = device
        self.batch_size = batch_size
        self.precision = precision
        self.preprocess = preprocess
        self.cache = cache
        self.cache_dir = cache_dir
        self.verbose = verbose

    def encode_image(self, X):
        """Embed images.

        Parameters
        ----------
        X : array, list or Series
            Array of shape (n, H, W), (n, H, W, 1) or (n, H, W, 3), uint8 or
            float in [0, 1] (rounded to uint8); or n file paths or PIL images.
            Files are read batch by batch.

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1.

        Raises
        ------
        ValueError
            If X has another form, if images cannot be read (all of them are
            named), or if there is no such model.
        TypeError
            If X is not a collection of images.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        import open_clip
        import torch

        X = check_images(X)
        model, transform, device = self._load_model()
        dtype = open_clip.get_input_dtype(self.precision)
        batches = (
            torch.stack([transform(image) for image in images]).to(device=device, dtype=dtype)
            for images in image_batches(X, self.batch_size)
        )
        return self._embed(model.encode_image, batches, len(X), "images")

    def encode_text(self, texts):
        """Embed texts.

        Parameters
        ----------
        texts : list of str of length n
            A text longer than the model's context is cut, with a warning.

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1.

        Raises
        ------
        TypeError
            If `texts` is not a list of str.
        ValueError
            If it is empty, or there is no such model.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        texts = _check_texts(texts)
        model, _, device = self._load_model()
        tokenizer = _open_clip.load_tokenizer(*self._source()[::2], _fspath(self.cache_dir))
        _warn_of_cuts(texts, tokenizer)
        slices = range(0, len(texts), self.batch_size)
        batches = (tokenizer(texts[i : i + self.batch_size]).to(device) for i in slices)
        return self._embed(model.encode_text, batches, len(texts), "texts")

    def fingerprint(self):
        """Identify all that the embeddings depend on.

        Returns
        -------
        fingerprint : str
            Equal for encoders of the same class, model, weights (a local file
            counts by place, size and time of change), precision and
            preprocessing, whatever their device, batch size and cache.
        """
        import joblib

        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in _RUNTIME}
        return joblib.hash((kind, self._source(), params))

    def _source(self):
        name, pretrained = _sources.find_source(self.model, self.pretrained)
        return name, pretrained, _sources.stamp(name, pretrained)

    def _load_model(self):
        from .._torch import resolve_device

        if not isinstance(self.batch_size, numbers.Integral) or self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size!r} must be an int of at least 1")
        name, pretrained, files = self._source()
        preprocess = _open_clip.check_preprocess(self.preprocess, self.precision)
        device = resolve_device(self.device)
        model, transform = _open_clip.load_model(
            name, pretrained, files, self.precision, device, preprocess, _fspath(self.cache_dir)
        )
        _sources.warn_of_other_architecture(self.model, name)
        if pretrained is not None and files and self.preprocess is None:
            _sources.warn_of_bare_file(pretrained)
        return model, transform, device

    def _embed(self, encode, batches, total, unit):
        import torch
        from tqdm.auto import tqdm

        rows = []
        with torch.inference_mode(), tqdm(total=total, unit=unit, disable=not self.verbose) as bar:
            for batch in batches:
                embeddings = encode(batch).float()
                rows.append(torch.nn.functional.normalize(embeddings, dim=-1).cpu())
                bar.update(len(batch))
        return torch.cat(rows).numpy()


def _fspath(path):
    return None if path is None else os.fspath(path)


def _check_texts(texts):
    if isinstance(texts, str):
        raise TypeError("texts is one str; pass a list of str: [texts]")
    texts = list(texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{row}] is a {type(text).__name__}, not a str")
    if not texts:
        raise ValueError("texts holds no text")
    return texts


def _warn_of_cuts(texts, tokenizer):
    # Only open_clip's own tokenizer shows how long a text is before it is cut.
    if not hasattr(tokenizer, "encode") or getattr(tokenizer, "reduction_fn", None):
        return
    cut = [text for text in texts if len(tokenizer.encode(text)) + 2 > tokenizer.context_length]
    if cut:
        warnings.warn(
            f"{len(cut)} texts are longer than the model's {tokenizer.context_length} tokens and "
            f"lose their end, the first: {cut[0]!r}",
            UserWarning,
            stacklevel=3,
        )
