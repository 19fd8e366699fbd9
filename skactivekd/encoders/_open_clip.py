"""Frozen encoders: images or texts to embeddings of norm 1."""

import functools
import json
import numbers
import os
from contextlib import closing
from importlib.metadata import version

from joblib import cpu_count

from ..utils._row_identity import hash_model_file
from . import _open_clip_models
from ._base import Run, TextEncoder, remember
from ._inputs import check_images, check_texts, holds_files
from ._open_clip_models import CONFIG, GLYPH_DIR, GLYPH_SCALE, HUB, LOCAL
from ._open_clip_preprocess import AheadList, embed, good_batches, load_batches, prepare_as
from ._read_image import open_image, row_reason
from ._unreadable_rows import ImageError, remedy

_UNTRAINED = (14.2857, 10.0)  # where training starts in CLIP, 1 / 0.07, and in SigLIP


class OpenCLIPEncoder(TextEncoder):
    """Embeddings of images and texts from any open_clip model.

    The model loads at the first use and is shared by all encoders of the same
    settings; it is never part of a pickle or a clone.

    .. versionadded:: 0.1

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
        Of weights and activations, as open_clip has it; embeddings are always float32.
    preprocess : dict or None, default=None
        What to change in the preparation of images: "mean", "std" (three
        numbers each, for pixels in [0, 1]), "interpolation" ("bicubic" or
        "bilinear"), "resize_mode" ("shortest", "longest" or "squash") and
        "resizer" ("pil" gives open_clip's pixels to the bit; "torch" takes a
        fifth of its time and rounds one value of 200 otherwise, by 1 of 255;
        "auto", the default, is "torch" for images of at least 65,536 pixels
        whose sides are both longer than the model's, "pil" for others). A bare
        checkpoint file does not say how its images were prepared: without this,
        OpenAI's way is used with a warning. Pass ``{}`` if it is right.
    n_workers : int or None, default=None
        Threads that read and prepare images while the model computes. None
        takes one for each core, at most 8, where there are files to read, and
        none where all images are in memory; 0 reads when the model waits.
    on_error : {"raise", "skip"}, default="raise"
        What to do with rows that cannot be encoded, such as broken files:
        name them all in one `ImageError` or `TextError`, or give them
        embeddings of nan and name them all in one `SkippedRowsWarning`.
    cache : EmbeddingCache, False or None, default=None
        Where teachers keep embeddings: None is one cache for the process,
        False none. `encode_image` itself always encodes.
    cache_dir : str, path or None, default=None
        Where downloads are kept; None is open_clip's choice.
    verbose : int, default=0
        1 or more shows a progress bar of what takes more than a second.

    See Also
    --------
    ZeroShotTeacher : Class probabilities from these embeddings.

    Notes
    -----
    Weights of a tag that were trained with QuickGELU, as OpenAI's, get it also
    where the architecture's own activation is another; open_clip only warns.

    Images become RGB before they are resized, as a person sees them, which
    open_clip leaves to its caller: turned as the EXIF says (also of PIL
    images), transparent parts white, grays of 16 bits scaled by their range.
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
        return self._encode("encode_image", X)

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

    def _embed_image(self, X, run):
        import open_clip
        from PIL import Image

        ahead = getattr(X, "ahead", {})
        X, bad = check_images(X, self.on_error)
        strict = self.on_error == "raise"
        n_workers = self._count_workers(holds_files(X))  # refuses what is no number
        model, transform, device = self._loaded(run)

        def prepare(row):
            return ahead[row].result() if row in ahead else preparation(open_image(X[row]))

        reading = self._read(X, bad, prepare, n_workers)
        preparation = prepare_as(transform, self.preprocess)
        with closing(reading) as batches:
            good = good_batches(batches, bad, lambda *failed: row_reason(X, *failed), strict)
            shared = device.type == "cpu" and bool(ahead or n_workers)
            blank = [preparation(Image.new("RGB", (1, 1)))]
            place = device, open_clip.get_input_dtype(self.precision)
            forward = preparation.before(model.encode_image, *place)
            rows = embed(forward, good, lambda: blank, len(X), run.verbose, shared)
        return None if strict and bad else rows, bad

    def _embed_text(self, texts, run):
        texts, bad = check_texts(texts)
        if bad and self.on_error == "raise":
            return None, bad
        model, _, device = self._loaded(run)
        tokenizer = self._load_tokenizer(run)
        _open_clip_models.warn_of_cuts(texts, tokenizer)

        def tokens(texts):
            return _open_clip_models.tokenize(tokenizer, texts).to(device)

        slices = range(0, len(texts), self.batch_size)
        batches = (tokens(texts[i : i + self.batch_size]) for i in slices)
        n = len(texts) + len(bad)
        return embed(model.encode_text, batches, lambda: tokens([""]), n, run.verbose), bad

    def _find_bad(self, method, X, run):
        if method == "encode_text":
            return super()._find_bad(method, X, run)
        X, bad = check_images(X, "skip")
        n_workers = self._count_workers(holds_files(X))
        with closing(self._read(X, bad, lambda row: open_image(X[row]), n_workers)) as batches:
            list(good_batches(batches, bad, lambda *failed: row_reason(X, *failed), stop=True))
        return ImageError(bad, f"cannot be read; {remedy(self)}") if bad else None

    def _read(self, X, bad, prepare, n_workers):
        rows = [row for row in range(len(X)) if row not in bad]
        return load_batches(prepare, rows, self.batch_size, n_workers)

    def _count_workers(self, wanted):
        """Number of threads: as set, or one for each core if they are wanted, at most 8."""
        n = self.n_workers
        if n is not None and (not isinstance(n, numbers.Integral) or n < 0):
            raise ValueError(f"n_workers={n!r} must be None or an int of at least 0")
        return n if n is not None else min(8, cpu_count()) if wanted else 0

    def _prepare_ahead(self, X, pool, run):
        """Begin to read files that will be embedded next, if X holds files."""
        if self.n_workers == 0 or not isinstance(X, list) or not holds_files(X):
            return None
        preparation = prepare_as(self._loaded(run)[1], self.preprocess)
        return AheadList(X, pool, lambda item: preparation(open_image(item)))

    def _identity(self, params, run):
        for name in ("model", "pretrained"):  # which a subclass may set itself
            params.pop(name, None)
        name, pretrained, files = self._source(run)
        if files is None:
            source = name, pretrained, self._cache_dir()
            files = _open_clip_models.identify_download(*source)
            if files is None:
                self._load_model()
                files = _open_clip_models.identify_download(*source)
        release = _version("open_clip_torch").partition(".")[0]
        return None if name.startswith(LOCAL) else name, files or pretrained, release

    def _source(self, run=None):
        """Return the model's name, its weights, and the content of its local files, if any."""
        run = run or Run()
        if run.source is None:
            name, pretrained = find_source(self.model, self.pretrained)
            paths, files = _local_files(name, pretrained), None
            if paths or name.startswith(LOCAL):
                names = "" if pretrained else " ".join(map(os.path.basename, paths))
                files = f"{names} {hash_model_file(*paths, cache=self.cache)}"
            run.source = name, pretrained, files
        return run.source

    def _cache_dir(self):
        return None if self.cache_dir is None else os.fspath(self.cache_dir)

    def _loaded(self, run):
        run.model = run.model or self._load_model(run)
        return run.model

    def _load_model(self, run=None):
        from .._devices_and_seeds import resolve_device

        name, pretrained, files = self._source(run)
        preprocess = _open_clip_models.check_preprocess(self.preprocess, self.precision)
        device, cache_dir = resolve_device(self.device), self._cache_dir()
        # A download that was replaced is loaded anew, like a file of one's own.
        state = files or _open_clip_models.identify_download(name, pretrained, cache_dir)
        settings = self.precision, device, preprocess, cache_dir, state, bool(files)
        model, transform = _open_clip_models.load_model(name, pretrained, *settings)
        if name.startswith(LOCAL) and self.model is not None:
            _open_clip_models.warn_of_other_architecture(_as_text(self.model), name)
        if pretrained is not None and files and self.preprocess is None:
            _open_clip_models.warn_of_bare_file(pretrained)
        return model, transform, device

    def _load_tokenizer(self, run=None):
        name, _, files = self._source(run)
        return _open_clip_models.load_tokenizer(name, files, self._cache_dir())


# Other releases embed alike but for rounding; a major one may build or prepare otherwise.
_version = functools.cache(version)


def find_source(model=None, pretrained=None):
    """Say in open_clip's words where a model comes from: its name and its weights.

    The name is an architecture, with a tag or a file as weights, or a place ("local-dir:" or
    "hf-hub:" and where that is), with None.
    """
    model, pretrained = _as_text(model), _as_text(pretrained)
    if pretrained is not None and _is_place(pretrained):
        if model is not None and (_is_place(model) or pretrained.startswith(HUB)):
            raise ValueError(
                f"model={model!r} and pretrained={pretrained!r} both name a model; drop `model`"
            )
        model, pretrained = pretrained, None
    if model is None:
        if pretrained is not None:
            raise ValueError(
                f"pretrained={pretrained!r} needs the name of its architecture in `model`"
            )
        model = LOCAL + os.fspath(GLYPH_DIR)
    if not _is_place(model):
        return model.replace("/", "-"), pretrained
    if pretrained is not None:
        raise ValueError(
            f"model={model!r} brings its own weights; pretrained={pretrained!r} must be None"
        )
    if model.startswith(HUB):
        return model, None
    return LOCAL + os.path.abspath(os.path.expanduser(model.removeprefix(LOCAL))), None


def _as_text(value):
    return None if value is None else os.path.expanduser(os.fspath(value))


def _is_place(text):
    if text.startswith((LOCAL, HUB)):
        return True
    return os.path.isfile(os.path.join(text, CONFIG))


def _local_files(name, pretrained):
    """Return the paths of the local files behind a model, text tower and tokenizer included."""
    if not name.startswith(LOCAL):
        return [pretrained] if pretrained is not None and os.path.isfile(pretrained) else []
    folder = name.removeprefix(LOCAL)
    try:
        with open(os.path.join(folder, CONFIG), encoding="utf-8") as file:
            config = json.load(file)["model_cfg"]["text_cfg"]
        others = [config.get(key) for key in ("hf_model_name", "hf_tokenizer_name")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # loading it will tell
        others = ()
    others = sorted({other for other in others if isinstance(other, str)})
    places = [place for place in (folder, *others) if os.path.isdir(place)]
    paths = [sorted(entry.path for entry in os.scandir(place)) for place in places]
    return [path for found in paths for path in found if os.path.isfile(path)]
