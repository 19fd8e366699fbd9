"""Frozen encoders: images or texts to embeddings of norm 1."""

import os
from contextlib import closing

from sklearn.base import BaseEstimator

from . import _open_clip_models, _sources
from ._base import remember
from ._errors import ImageError, TextError
from ._glyph import GLYPH_SCALE
from ._images import check_images
from ._lazy_rows import LazyRows
from ._loader import good_batches, load_batches
from ._preprocess import Preparation
from ._read_image import is_path, open_image, reason
from ._settings import check_batch_size, count_workers
from ._skipping import settle
from ._texts import check_texts

_RUNTIME = (
    "model",
    "pretrained",
    "device",
    "batch_size",
    "n_workers",
    "on_error",
    "cache",
    "cache_dir",
    "verbose",
)
_UNTRAINED = (14.2857, 10.0)  # where training starts in CLIP, 1 / 0.07, and in SigLIP
_REVISION = 2  # to be raised when the same weights come to embed the same row otherwise


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
        "bilinear"), "resize_mode" ("shortest", "longest" or "squash"),
        "resizer" ("pil", or "torch", which takes a fifth of its time and rounds
        one value of 200 otherwise, by 1 of 255). A bare
        checkpoint file does not say how its images were prepared: without
        this, OpenAI's way is used with a warning. Pass ``{}`` if it is right.
    n_workers : int or None, default=None
        Threads that read and prepare images while the model computes. None
        takes one for each core, at most 8, where there are files to read, and
        none where all images are in memory; 0 reads when the model waits.
    on_error : {"raise", "skip"}, default="raise"
        What to do with rows that cannot be encoded, such as broken files:
        name them all in one `ImageError` or `TextError`, or give them
        embeddings of nan and name them all in one `SkippedRowsWarning`.
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
    Weights of a tag that were trained with QuickGELU, as OpenAI's, get it also
    where the architecture's own activation is another; open_clip only warns.

    Images become RGB before they are resized, as a person sees them, which
    open_clip leaves to its caller: turned as the EXIF says (also of PIL
    images), transparent parts white, greys of 16 bits scaled by their range.
    Of an animation the first frame is taken. Files are opened if they are
    JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, AVIF where PIL has it, or HEIC once
    ``pillow_heif.register_heif_opener()`` was called, whatever their names;
    all others are refused, as some are programs. So are images with one side
    more than 200 times the other, and those with more than twice
    ``PIL.Image.MAX_IMAGE_PIXELS`` pixels, before they are decoded.

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
        n_workers=None,
        on_error="raise",
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
        self.n_workers = n_workers
        self.on_error = on_error
        self.cache = cache
        self.cache_dir = cache_dir
        self.verbose = verbose

    def encode_image(self, X):
        """Embed images.

        Parameters
        ----------
        X : array, list, Series or data set
            Array of shape (n, H, W), (n, H, W, C) or (n, C, H, W), C being 1
            or 3; white is 1 in floats and bool, 255 in uint8, 65535 in uint16
            and 255 in other integers, which may hold nothing above it. Or n
            file paths, URLs (fsspec's, say ``s3://``), bytes of files, PIL
            images or arrays of one image each. Or a column of Hugging Face's
            datasets, or a map-style data set of torch. Files are read batch by
            batch.

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.

        Raises
        ------
        ImageError
            If images cannot be read; all of them are named. It is a
            ValueError.
        ValueError
            If X has another form, or if there is no such model.
        TypeError
            If X is not a collection of images.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        import open_clip
        from PIL import Image

        check_batch_size(self.batch_size)
        ahead = getattr(X, "ahead", {})
        X, bad = check_images(X, self.on_error)
        n_workers = count_workers(self.n_workers, wanted=_holds_files(X))
        model, transform, device = self._load_model()
        dtype = open_clip.get_input_dtype(self.precision)

        preparation = self._preparation(transform)

        def forward(images):
            return model.encode_image(preparation.to_model(images, device, dtype))

        def prepare(row):
            return ahead[row].result() if row in ahead else preparation(open_image(X[row]))

        rows = [row for row in range(len(X)) if row not in bad]
        with closing(load_batches(prepare, rows, self.batch_size, n_workers)) as batches:
            good = good_batches(
                batches, bad, lambda row, error: reason(X[row], error), ImageError, self.on_error
            )
            blank = [preparation(Image.new("RGB", (1, 1)))]
            embeddings = _open_clip_models.embed(forward, good, blank, len(X), self.verbose)
        return settle(embeddings, bad, len(X), self.on_error, ImageError)

    def encode_text(self, texts):
        """Embed texts.

        Parameters
        ----------
        texts : list, array or Series of str of length n
            Empty ones have an embedding too. One longer than the model's
            context is cut, with a warning.

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.

        Raises
        ------
        TextError
            If rows are no texts; all are named. It is a TypeError.
        ValueError
            If there are none, or there is no such model.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        check_batch_size(self.batch_size)
        texts, bad = check_texts(texts, self.on_error)
        model, _, device = self._load_model()
        tokenizer = _open_clip_models.load_tokenizer(*self._source()[::2], _fspath(self.cache_dir))
        _open_clip_models.warn_of_cuts(texts, tokenizer)

        def forward(texts):
            return model.encode_text(_open_clip_models.tokenize(tokenizer, texts).to(device))

        slices = range(0, len(texts), self.batch_size)
        batches = (texts[i : i + self.batch_size] for i in slices)
        n = len(texts) + len(bad)
        embeddings = _open_clip_models.embed(forward, batches, [""], n, self.verbose)
        return settle(embeddings, bad, n, self.on_error, TextError)

    @property
    def logit_scale_(self):
        """What teachers multiply cosines by: the scale that the model learned.

        Of a SigLIP model it is that of its sigmoid, whose bias is the same for
        all classes. None where the model has none, or where it stands as before
        training. The first use of a model loads it.
        """
        if self.model is None and self.pretrained is None:
            return GLYPH_SCALE
        scale = remember(self, "_read_scale")
        return scale if scale > 0 else None

    def _read_scale(self):
        scale = getattr(self._load_model()[0], "logit_scale", None)
        # In single precision no more digits are there: 100.00000763 is 100.
        scale = 0.0 if scale is None else float(f"{float(scale.detach().float().exp()):.6g}")
        return 0.0 if scale in _UNTRAINED else scale

    def fingerprint(self):
        """Identify all that the embeddings depend on.

        Returns
        -------
        fingerprint : str
            Equal for encoders of the same class, model, weights (the content
            of their files, wherever these are), precision and preprocessing,
            whatever their device, batch size and cache. The first use of a
            model of the hub downloads it.

        Raises
        ------
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        from importlib.metadata import version

        import joblib

        source, cache_dir = self._source()[:2], _fspath(self.cache_dir)
        identity = _sources.identify_source(*source, cache_dir)
        if identity is None:
            self._load_model()
            identity = _sources.identify_source(*source, cache_dir)
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in _RUNTIME}
        # Other releases embed alike but for rounding; a major one of open_clip may
        # build or prepare otherwise.
        revision = _REVISION, version("open_clip_torch").partition(".")[0]
        return joblib.hash((kind, identity or source, params, revision))

    def _prepare_ahead(self, X, pool):
        """Begin to read files that `encode_image` will be asked for next.

        Parameters
        ----------
        X : list
        pool : ThreadPoolExecutor

        Returns
        -------
        X : AheadList or None
            To be handed to `encode_image`; None where there is nothing to read.
        """
        if self.n_workers == 0 or not isinstance(X, list) or not _holds_files(X):
            return None
        preparation = self._preparation(self._load_model()[1])
        return AheadList(X, pool, lambda item: preparation(open_image(item)))

    def _preparation(self, transform):
        return Preparation(transform, dict(self.preprocess or {}).get("resizer", "pil"))

    def _source(self):
        name, pretrained = _sources.find_source(self.model, self.pretrained)
        return name, pretrained, _sources.stamp(name, pretrained)

    def _load_model(self):
        from .._torch import resolve_device

        name, pretrained, files = self._source()
        preprocess = _open_clip_models.check_preprocess(self.preprocess, self.precision)
        device = resolve_device(self.device)
        cache_dir = _fspath(self.cache_dir)
        # A download that was replaced is loaded anew, like a file of one's own.
        state = None if files else repr(_sources.identify_source(name, pretrained, cache_dir))
        model, transform = _open_clip_models.load_model(
            name, pretrained, files, self.precision, device, preprocess, cache_dir, state
        )
        _sources.warn_of_other_architecture(self.model, name)
        if pretrained is not None and files and self.preprocess is None:
            _sources.warn_of_bare_file(pretrained)
        return model, transform, device


class AheadList(list):
    """Rows, and what is being made of them meanwhile."""

    def __init__(self, X, pool, prepare):
        super().__init__(X)
        self.ahead = {row: pool.submit(prepare, item) for row, item in enumerate(X)}


def _fspath(path):
    return None if path is None else os.fspath(path)


def _holds_files(X):
    return isinstance(X, LazyRows) or (
        isinstance(X, list) and any(is_path(item) or isinstance(item, bytes) for item in X)
    )
