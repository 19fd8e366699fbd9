"""Embeddings of texts from sentence-transformers models."""

import os

import numpy as np

from . import _sentence_models
from ._base import TextEncoder, encode_texts
from ._inputs import check_texts

# The inverse temperature of sentence-transformers' ranking losses. On halves of the training rows
# of four tasks, MiniLM's expected calibration error is 4 to 9 % with it, 1 to 12 % with the 23 that
# `logit_scale_` makes of it, and 17 to 44 % with CLIP's 100. No other model was measured.
SENTENCE_SCALE = 20.0

_MOST_ALIKE = 0.9  # a scale of 200; a model that finds all texts alike has none
_UNRELATED = (  # short: some models cut texts early
    "a train timetable",
    "beaten eggs",
    "the court's verdict",
    "green leaves",
    "printer ink",
    "the last goal",
    "interest rates",
    "a high fever",
    "violin music",
    "wild wolves",
    "kitchen paint",
    "planet Mars",
)


class SentenceEncoder(TextEncoder):
    """Embeddings of texts from any sentence-transformers model.

    It needs sentence-transformers: ``pip install skactivekd[text]``. The model
    loads at the first use and is shared by all encoders of the same settings;
    it is never part of a pickle or a clone.

    .. versionadded:: 0.1

    Parameters
    ----------
    model : str or path
        Directory of a saved model, or its name on the Hugging Face Hub such
        as "all-MiniLM-L6-v2" or "intfloat/e5-small-v2". Downloads obey
        ``HF_HUB_OFFLINE``; what is on this machine is used as it is.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub.
    prompt : str or None, default=None
        What to put before each text, such as "query: " for E5 models. None is
        the model's own default, "" nothing.
    device : {"auto"}, str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's MPS, then the CPU.
    batch_size : int, default=64
        Texts in one forward pass.
    precision : {"fp32", "fp16", "bf16"}, default="fp32"
        Of weights and activations. Embeddings are float32 always.
    on_error : {"raise", "skip"}, default="raise"
        What to do with rows that are no texts: name them all in one
        `TextError`, or give them embeddings of nan and name them all in one
        `SkippedRowsWarning`.
    cache : EmbeddingCache, False or None, default=None
        Where teachers keep this encoder's embeddings: None is one cache for
        the process, False none. `encode_text` itself always encodes.
    cache_dir : str, path or None, default=None
        Where downloads are kept; None is the hub's choice.
    trust_remote_code : bool, default=False
        Let a model run code of its own on this machine, from the hub or from
        its directory. Without it, a model whose settings name such code is
        refused before anything is loaded, whatever the release of
        sentence-transformers would do.
    verbose : int, default=0
        1 or more shows a progress bar of what takes more than a second.

    See Also
    --------
    ZeroShotTeacher : Class probabilities from these embeddings.
    OpenCLIPEncoder : The same for images.

    References
    ----------
    .. [1] N. Reimers, I. Gurevych. "Sentence-BERT: Sentence Embeddings using
       Siamese BERT-Networks". EMNLP 2019. arXiv:1908.10084.

    Examples
    --------
    >>> from skactivekd import SentenceEncoder, ZeroShotTeacher
    >>> encoder = SentenceEncoder("all-MiniLM-L6-v2", batch_size=32)
    >>> teacher = ZeroShotTeacher(encoder, classes=["sport", "politics"], templates="{}")
    >>> teacher.fit().predict(["The match ended in a draw."])  # doctest: +SKIP
    array(['sport'], dtype='<U8')
    """

    def __init__(
        self,
        model,
        *,
        revision=None,
        prompt=None,
        device="auto",
        batch_size=64,
        precision="fp32",
        on_error="raise",
        cache=None,
        cache_dir=None,
        trust_remote_code=False,
        verbose=0,
    ):
        self.model = model
        self.revision = revision
        self.prompt = prompt
        self.device = device
        self.batch_size = batch_size
        self.precision = precision
        self.on_error = on_error
        self.cache = cache
        self.cache_dir = cache_dir
        self.trust_remote_code = trust_remote_code
        self.verbose = verbose

    @property
    def logit_scale_(self):
        r"""What teachers multiply cosines by: :math:`20 / (1 - m)`.

        20 is what sentence-transformers trains with, and m the mean cosine of
        sentences that have nothing to do with each other: near 0 for most
        models, 0.7 for some, whose cosines all lie between it and 1.
        """
        rows = encode_texts(self, list(_UNRELATED))
        n = len(rows)
        mean = float((np.square(rows.sum(axis=0)).sum() - n) / (n * (n - 1)))
        return SENTENCE_SCALE / (1 - min(max(mean, 0.0), _MOST_ALIKE))

    def _embed_text(self, texts, run):
        from .._devices_and_seeds import own_settings

        texts, bad = check_texts(texts)
        if bad and self.on_error == "raise":
            return None, bad
        with _sentence_models.LOCK, own_settings():  # tokenizers refuse a second thread
            if run.model is None:
                run.model = self._load_model()
            _sentence_models.warn_of_cuts(run.model, texts, self.prompt)
            embeddings = run.model.encode(
                texts or [""],  # the model's width, where no row is a text
                batch_size=self.batch_size,
                prompt=self.prompt,
                show_progress_bar=bool(run.verbose),
            )
        return embeddings[: len(texts)], bad

    def _identity(self, params, run):
        for name in ("model", "revision"):  # which a subclass may set itself
            params.pop(name, None)
        place, commit = self._source()
        if os.path.isdir(place):
            return _sentence_models.hash_folder(place, self.cache)
        if commit is None:
            with _sentence_models.LOCK:
                self._load_model()
            commit = self._source()[1]
        return place, commit or self.revision

    def _source(self):
        """Return where the model is, and the commit of one that was downloaded."""
        place = _sentence_models.find_place(self.model)
        if os.path.isdir(place):
            return place, None
        return place, _sentence_models.find_commit(place, self.revision, self.cache_dir)

    def _load_model(self):
        from .._devices_and_seeds import resolve_device

        place, commit = self._source()
        return _sentence_models.load_model(
            place,
            _sentence_models.stamp_folder(place) if os.path.isdir(place) else (),
            commit or self.revision,
            self.precision,
            resolve_device(self.device),
            None if self.cache_dir is None else os.fspath(self.cache_dir),
            self.trust_remote_code,
        )
