"""Embeddings of images, sounds and texts from two-tower models of transformers."""

import functools
from contextlib import closing
from importlib.metadata import version

import numpy as np
from joblib import cpu_count

from . import _two_tower_models
from ._base import TextEncoder, remember
from ._inputs import check_images, check_texts, holds_files
from ._open_clip_preprocess import AheadList, embed, good_batches, load_batches
from ._read_image import open_image, reason
from ._read_sound import check_sounds, holds_sound_files, read_sound, sound_reason
from ._sentence_models import hash_folder
from ._transformers_folder import find_folder
from ._unreadable_rows import ImageError, RowError, remedy
from ._wrapping_encoders import OnlyWhere

# Where training starts: 1 / 0.07, as some write it exp(2.6592), and 1 for SigLIP and ALIGN.
_AS_BORN = (14.2857, 14.2849, 1.0)


class TransformersEncoder(TextEncoder):
    """Embeddings of images or sounds, and of texts, from two-tower models of transformers.

    Of images these are CLIP, SigLIP, SigLIP 2, AIMv2, ALIGN, AltCLIP, Chinese-CLIP and others
    that have ``get_image_features`` and ``get_text_features``; of sounds CLAP. It needs
    transformers: ``pip install "skactivekd[transformers]"``, and for files of sounds
    ``"skactivekd[sound]"``. The model loads at the first use and is shared by all encoders of the
    same settings; it is never part of a pickle or a clone.

    .. versionadded:: 0.1

    Parameters
    ----------
    model : str or path
        Directory that ``save_pretrained`` wrote, of model, tokenizer and
        processor, or a name on the Hugging Face Hub such as
        "google/siglip2-base-patch16-224" or "laion/clap-htsat-unfused".
        Downloads obey ``HF_HUB_OFFLINE``. Weights are read from safetensors
        alone, and code of a model's own is never run.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub.
    sampling_rate : int or None, default=None
        Samples a second of sounds that come as bare arrays. None: they come
        with their rate.
    device : {"auto"}, str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's MPS, then the CPU.
    batch_size : int, default=64
        Images, windows of sounds or texts in one forward pass.
    precision : {"fp32", "fp16", "bf16"}, default="fp32"
        Of weights and activations. Embeddings are float32 always.
    on_error : {"raise", "skip"}, default="raise"
        What to do with rows that cannot be encoded, such as broken files:
        name them all in one error, or give them embeddings of nan and name
        them all in one `SkippedRowsWarning`.
    cache : EmbeddingCache, False or None, default=None
        Where teachers keep this encoder's embeddings: None is one cache for
        the process, False none. The methods below always encode.
    cache_dir : str, path or None, default=None
        Where downloads are kept; None is the hub's choice.
    verbose : int, default=0
        1 or more shows a progress bar.

    See Also
    --------
    OpenCLIPEncoder : Models of open_clip.
    FrameEncoder : Clips, by an encoder of images.
    LogMel : Sounds as pictures, for a student.

    Notes
    -----
    It has ``encode_image`` or ``encode_audio``, as its model has.

    Images are read as `OpenCLIPEncoder` reads them, and then go through the
    model's own processor. Texts go through its own tokenizer; those of SigLIP
    are filled up to the length that it was trained with.

    Of a sound the mean of its channels is taken, resampled by a polyphase
    filter to the rate of the model. One longer than what the model hears at
    once (10 s for CLAP) is heard in windows of this length, as many as cover
    it, evenly spaced; its embedding is the mean of theirs. transformers' own
    processor would draw a place in it at random. A shorter one is repeated,
    as the processor says. Sounds of more than 600 s, and such that do not
    fill one frame of the spectrogram, are bad rows.

    SigLIP was trained with a sigmoid for each pair of image and text, of a
    learned scale and bias. The classes of a teacher exclude each other: it
    takes the softmax of the cosines times the scale, from which the bias, the
    same for all classes, drops out.

    References
    ----------
    .. [1] A. Radford et al. "Learning Transferable Visual Models From Natural
       Language Supervision". ICML 2021. arXiv:2103.00020.
    .. [2] M. Tschannen et al. "SigLIP 2: Multilingual Vision-Language
       Encoders". 2025. arXiv:2502.14786.
    .. [3] Y. Wu et al. "Large-scale Contrastive Language-Audio Pretraining
       with Feature Fusion and Keyword-to-Caption Augmentation". ICASSP 2023.
       arXiv:2211.06687.

    Examples
    --------
    >>> from skactivekd import ZeroShotTeacher
    >>> from skactivekd.encoders import TransformersEncoder
    >>> encoder = TransformersEncoder("laion/clap-htsat-unfused", batch_size=16)
    >>> teacher = ZeroShotTeacher(encoder, classes=["dog", "rain"])
    >>> teacher.fit().predict(["street.wav"])  # doctest: +SKIP
    array(['rain'], dtype='<U4')
    """

    def __init__(
        self,
        model,
        *,
        revision=None,
        sampling_rate=None,
        device="auto",
        batch_size=64,
        precision="fp32",
        on_error="raise",
        cache=None,
        cache_dir=None,
        verbose=0,
    ):
        self.model = model
        self.revision = revision
        self.sampling_rate = sampling_rate
        self.device = device
        self.batch_size = batch_size
        self.precision = precision
        self.on_error = on_error
        self.cache = cache
        self.cache_dir = cache_dir
        self.verbose = verbose

    @OnlyWhere
    def encode_image(self, X):
        """Embed images, where the model has a tower for them.

        Parameters
        ----------
        X : array, list, Series or data set
            As `OpenCLIPEncoder.encode_image` takes them.

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
            If X has another form, or the model cannot be loaded.
        TypeError
            If X is not a collection of images.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        return self._encode("encode_image", X)

    @OnlyWhere
    def encode_audio(self, X):
        """Embed sounds, where the model has a tower for them.

        Parameters
        ----------
        X : list, array or Series of n sounds
            File paths, URLs or bytes of files (WAV, FLAC, OGG, MP3, AIFF and
            the like); pairs (samples, rate); dicts with ``"array"`` and
            ``"sampling_rate"``, as Hugging Face's datasets give them; or
            arrays of samples, whose rate is the encoder's `sampling_rate`.
            Samples are floats in [-1, 1], int16, int32 or uint8, of shape
            (n_samples,), (n_samples, channels) or (channels, n_samples).

        Returns
        -------
        embeddings : ndarray of float32 of shape (n, d)
            Rows of norm 1; nan where they were skipped.

        Raises
        ------
        RowError
            If sounds cannot be read; all of them are named. It is a
            ValueError.
        ValueError
            If X is empty, or the model cannot be loaded.
        TypeError
            If X is not a collection of sounds.
        ImportError
            If there are files and soundfile is not installed.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        return self._encode("encode_audio", X)

    @property
    def logit_scale_(self):
        """What teachers multiply cosines by: the scale that the model learned.

        Of SigLIP it is that of its sigmoid, whose bias is the same for all classes; of CLAP that
        of sounds. None where the model has none, or where it stands as before training. The first
        use of a model loads it.
        """
        scale = remember(self, "_read_scale")
        return scale if scale > 0 else None

    def _read_scale(self):
        # In single precision no more digits are there: 100.00000763 is 100.
        scale = float(f"{self._load().read_scale():.6g}")
        return 0.0 if scale in _AS_BORN else scale

    def _lack(self, method):
        kind = _two_tower_models.find_kind(self.model, self.revision, self.cache_dir)
        if method == f"encode_{kind}":
            return None
        what = "sounds" if kind == "audio" else "images"
        return f"the model {self.model} embeds {what}: it has encode_{kind} and no {method}"

    def _embed_image(self, X, run):
        ahead = getattr(X, "ahead", {})
        X, bad = check_images(X, self.on_error)
        prepare = self._preparation("image", run)

        def prepared(row):
            return ahead[row].result() if row in ahead else prepare(X[row])

        rows = [row for row in range(len(X)) if row not in bad]
        return self._embed_rows("image", X, rows, prepared, bad, reason, run, holds_files(X))

    def _embed_audio(self, X, run):
        ahead = getattr(X, "ahead", {})
        X, prepare = check_sounds(X), self._preparation("audio", run)

        def prepared(row):
            return ahead[row].result() if row in ahead else prepare(X[row])

        rows, files = range(len(X)), holds_sound_files(X)
        return self._embed_rows("audio", X, rows, prepared, {}, sound_reason, run, files)

    def _preparation(self, tower, run):
        """Return what makes of a row the parts that the tower takes."""
        towers = self._loaded(run)
        if tower == "image":
            return lambda item: [towers.prepare_image(open_image(item))]
        return lambda item: [
            towers.prepare_sound(part)
            for part in windows(
                read_sound(item, towers.rate, self.sampling_rate, towers.shortest), towers.window
            )
        ]

    def _prepare_ahead(self, X, pool, run):
        """Begin to read files that will be embedded next, if X holds files."""
        tower = _two_tower_models.find_kind(self.model, self.revision, self.cache_dir)
        if not (holds_files(X) if tower == "image" else holds_sound_files(X)):
            return None
        return AheadList(X, pool, self._preparation(tower, run))

    @staticmethod
    def _count_workers(wanted):
        """Number of threads: one for each core if they are wanted, at most 8."""
        return min(8, cpu_count()) if wanted else 0

    def _embed_rows(self, tower, X, rows, prepare, bad, why, run, files):
        """Embed rows, each the mean of the parts that `prepare` makes of it."""
        towers, strict, counts = self._loaded(run), self.on_error == "raise", []
        n_workers = self._count_workers(files)

        def batches(good):
            for rows in good:
                counts.extend(map(len, rows))
                parts = [part for row in rows for part in row]
                for start in range(0, len(parts), self.batch_size):
                    yield _two_tower_models.stack(parts[start : start + self.batch_size])

        reading = load_batches(prepare, list(rows), self.batch_size, n_workers)
        with closing(reading) as read:
            good = good_batches(read, bad, lambda row, error: why(X[row], error), strict)
            found = embed(
                functools.partial(towers.forward, tower),
                batches(good),
                functools.partial(towers.blank, tower),
                len(X),
                run.verbose,
            )
        return None if strict and bad else join_parts(found, counts), bad

    def _embed_text(self, texts, run):
        texts, bad = check_texts(texts)
        if bad and self.on_error == "raise":
            return None, bad
        towers, size = self._loaded(run), self.batch_size
        towers.warn_of_cuts(texts)
        batches = (towers.tokens(texts[i : i + size]) for i in range(0, len(texts), size))
        found = embed(
            functools.partial(towers.forward, "text"),
            batches,
            functools.partial(towers.blank, "text"),
            len(texts) + len(bad),
            run.verbose,
        )
        return found, bad

    def _find_bad(self, method, X, run):
        """Only read rows, where those of another batch were bad."""
        if method == "encode_text":
            return super()._find_bad(method, X, run)
        if method == "encode_image":
            X, bad = check_images(X, "skip")
            read, why, kind, problem = open_image, reason, ImageError, "cannot be read"
        else:
            X, bad, towers = check_sounds(X), {}, self._loaded(run)
            given = {"own_rate": self.sampling_rate, "shortest": towers.shortest}
            read = functools.partial(read_sound, rate=towers.rate, **given)
            why, kind, problem = sound_reason, RowError, "cannot be encoded"
        for row in range(len(X)):
            if row not in bad:
                try:
                    read(X[row])
                except Exception as error:  # of as many kinds as there are files
                    bad[row] = why(X[row], error)
        return kind(bad, f"{problem}; {remedy(self)}") if bad else None

    def _identity(self, params, run):
        for name in ("model", "revision"):  # which a subclass may set itself
            params.pop(name, None)
        run.source = find_folder(self.model, self.revision, self.cache_dir)
        # A major release may build a model, or prepare its inputs, otherwise.
        return hash_folder(run.source, self.cache), version("transformers").partition(".")[0]

    def _loaded(self, run):
        run.model = run.model or self._load(run)
        return run.model

    def _load(self, run=None):
        from .._devices_and_seeds import resolve_device

        folder = run and run.source
        folder = folder or find_folder(self.model, self.revision, self.cache_dir)
        return _two_tower_models.load(folder, self.precision, resolve_device(self.device))


def windows(wave, length):
    """Cut a sound into as few windows as cover it, evenly spaced; a short one stays whole."""
    n = -(-len(wave) // length)
    if n <= 1:
        return [wave]
    starts = np.rint(np.linspace(0, len(wave) - length, n)).astype(int)
    return [wave[start : start + length] for start in starts]


def join_parts(found, counts):
    """Return for each row the mean of the embeddings of its parts, each of norm 1."""
    if len(found) == len(counts):
        return found
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    starts = np.cumsum([0, *counts[:-1]])
    return np.add.reduceat(found, starts, axis=0) / np.asarray(counts)[:, None]
