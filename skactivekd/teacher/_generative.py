"""Generative models of transformers as teachers: how likely they find each class name."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..cache import EmbeddingCache
from ..utils._check_params import (
    WrongParameter,
    check_choice,
    check_flag,
    check_integer,
    check_number,
)
from ..utils._own_fingerprint import class_name
from ._ask_once import ask_once, check_cache
from ._generative_asking import Asking
from ._inputs import Rows
from ._prompted_teacher import PromptedTeacher

_QUESTION = {
    "text": "Which of these fits the text best: {classes}?",
    "image": "Which of these does the picture show: {classes}?",
}
_AHEAD = 4  # batches that are read together, so that rows of one length find each other
_REVISION = 1  # to be raised when the same weights come to judge the same row otherwise


class GenerativeTeacher(PromptedTeacher):
    r"""Ask a generative model of transformers how likely it finds the name of each class.

    Models of language (``AutoModelForCausalLM``), of the kind of T5 and FLAN
    (``AutoModelForSeq2SeqLM``), and of images and text
    (``AutoModelForImageTextToText``: LLaVA, Qwen-VL, Gemma 3). With a prompt x, a class
    of name :math:`a = (a_1, \dots, a_T)` in tokens has the score

    .. math:: s_a = \sum_{t=1}^{T} \log p(a_t \mid x, a_1, \dots, a_{t-1})

    and the probability that the softmax makes of these. The prompt goes through the
    model once: all classes share its keys and values. It needs transformers:
    ``pip install skactivekd[transformers]``.

    .. versionadded:: 0.1

    Parameters
    ----------
    model : str or path
        Directory of a saved model, or its name on the Hugging Face Hub. Weights are
        read from safetensors alone, and code of the model's own is never run.
    classes : sequence of labels, or mapping of label to name
        By the labels that stand in y; without a mapping, their names are
        ``str(label)``.
    prompt : str or None, default=None
        What stands before the class name. ``{text}`` is where a row's text goes (at
        the start if it is nowhere), ``{classes}`` where all names go. Where no chat template
        comes around it, it should end as "Answer:" does. None asks which class fits
        best.
    chat : {"auto"} or bool, default="auto"
        Put the model's chat template around the prompt; "auto": if it has one.
    system : str or None, default=None
        What a chat begins with.
    chat_kwargs : dict or None, default=None
        For the template, as ``{"enable_thinking": False}``.
    length_normalize : bool, default=False
        Divide the score of a class by its number of tokens T, so that long names are
        not less probable for their length.
    remove_prior : bool, default=False
        Subtract from the score that of the same prompt with an empty text, or without
        the image: what the model says of the class in any case [1]_.
    end_token : {"auto"} or bool, default="auto"
        Count the token that ends an answer as its last one; "auto": if the tokens of
        one class name begin as those of another, which could never win.
    temperature : float, default=1.0
        Divides the scores before the softmax.
    inputs : {"auto", "text", "image"}, default="auto"
        What rows are. "auto": strings are images if they name files, else texts.
    device : {"auto"}, str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's MPS, then the CPU.
    batch_size : int, default=16
        Sequences in one forward pass.
    precision : {"auto", "fp32", "fp16", "bf16"}, default="auto"
        Of weights and activations. "auto" is bf16 on GPUs that have it, else fp32.
        Probabilities of tokens are summed in float32.
    on_error : {"raise", "skip"}, default="raise"
        What to do with rows that cannot be read, or are too long: name them all in one
        error, or give them equal probabilities and name them in one
        `SkippedRowsWarning`.
    cache : EmbeddingCache, False or None, default=None
        Where scores are kept: None is one memory for the process, an `EmbeddingCache`
        with a path a file, False nowhere. `length_normalize`, `remove_prior` and
        `temperature` are applied to what is kept.
    revision : str or None, default=None
        Branch, tag or commit of a model on the hub.
    cache_dir : str, path or None, default=None
        Where downloads are kept; None is the hub's choice.
    verbose : int, default=0
        1 or more shows a progress bar of what takes more than a second.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y; matters for `score` only.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` follow them.

    See Also
    --------
    EndpointTeacher : Models behind a server.
    ZeroShotTeacher : Models of the kind of CLIP, which take a fraction of the time.

    Notes
    -----
    Without a chat template, a space goes between prompt and name unless the prompt ends
    with one. Texts of several lengths are padded in a batch; images are computed
    together where they have as many tokens.

    References
    ----------
    .. [1] A. Holtzman et al. "Surface Form Competition: Why the Highest Probability
       Answer Isn't Always Right". EMNLP 2021. arXiv:2104.08315.

    Examples
    --------
    >>> from skactivekd import GenerativeTeacher
    >>> teacher = GenerativeTeacher(
    ...     "/models/Qwen3-VL-2B-Instruct", classes={0: "cat", 1: "dog"}, precision="bf16"
    ... )
    >>> teacher.fit().predict_proba(["cat.jpg"])  # doctest: +SKIP
    array([[0.97, 0.03]], dtype=float32)
    """

    _places = ("{text}", "{classes}")

    def __init__(
        self,
        model,
        classes,
        prompt=None,
        *,
        chat="auto",
        system=None,
        chat_kwargs=None,
        length_normalize=False,
        remove_prior=False,
        end_token="auto",
        temperature=1.0,
        inputs="auto",
        device="auto",
        batch_size=16,
        precision="auto",
        on_error="raise",
        cache=None,
        revision=None,
        cache_dir=None,
        verbose=0,
        missing_label=-1,
    ):
        self.model = model
        self.classes = classes
        self.prompt = prompt
        self.chat = chat
        self.system = system
        self.chat_kwargs = chat_kwargs
        self.length_normalize = length_normalize
        self.remove_prior = remove_prior
        self.end_token = end_token
        self.temperature = temperature
        self.inputs = inputs
        self.device = device
        self.batch_size = batch_size
        self.precision = precision
        self.on_error = on_error
        self.cache = cache
        self.revision = revision
        self.cache_dir = cache_dir
        self.verbose = verbose
        self.missing_label = missing_label

    def fit(self, X=None, y=None):
        """Check the settings; the model is not loaded, and nothing learned.

        Parameters
        ----------
        X, y : ignored

        Returns
        -------
        self : GenerativeTeacher

        Raises
        ------
        ValueError
            If a setting cannot be.
        TypeError
            If a setting is of the wrong kind.
        FileNotFoundError
            If the model is a path and not there.
        """
        from ..encoders._sentence_models import find_place

        self._check_settings()
        self._fit_classes()
        find_place(self.model)
        return self

    def predict_proba(self, X):
        """Probabilities of the classes, computed for rows that the model did not see yet.

        Parameters
        ----------
        X : list, array, Series or data set of n rows
            Texts; or images as `OpenCLIPEncoder` takes them, if the model sees.

        Returns
        -------
        proba : ndarray of float32 of shape (n, n_classes)
            Columns in the order of `classes_`. Rows that were skipped
            (``on_error="skip"``) are uniform: nothing is known of them.

        Raises
        ------
        RowError
            If rows cannot be read, or are too long for the model; all are named.
        ValueError
            If the model cannot be loaded, or cannot tell two classes apart.
        TypeError
            If rows are images and the model reads texts alone.
        ImportError
            If transformers is not installed.
        RuntimeError
            If the model is not on this machine and cannot be downloaded.
        """
        from scipy.special import softmax

        check_is_fitted(self)
        rows = Rows(X, self.inputs, self.on_error)
        self._template(rows.kind)
        asking = Asking(self, rows)
        store = check_cache(self.cache, "GenerativeTeacher")
        n_classes = len(self.classes_)
        # Beside the likelihoods stand the numbers of tokens, so that no model has to be loaded.
        found = ask_once(
            self._owner("predict_proba", self._likelihood_fingerprint()),
            rows.keys,
            asking.ask,
            store,
            batch_size=_AHEAD * self.batch_size,
            verbose=self.verbose,
        )
        scores, lengths = found[:, :n_classes], found[:, n_classes:]
        if self.remove_prior:
            scores = scores - asking.prior(store)
        if self.length_normalize:
            scores = scores / np.maximum(lengths, 1)
        proba = softmax(scores / np.float32(self.temperature), axis=1)
        return self._settle(proba, asking.bad, rows, "cannot be judged by the model")

    def fingerprint(self):
        """Identify all that the probabilities depend on.

        Returns
        -------
        fingerprint : str
            Equal for teachers of the same class, weights (the content of the files,
            wherever these are), names of classes, prompt and settings, whatever their
            device, batch size and cache. The first use of a model of the hub
            downloads it.
        """
        import joblib

        after = (self.length_normalize, self.remove_prior, float(self.temperature))
        return joblib.hash((self._likelihood_fingerprint(), after))

    def _likelihood_fingerprint(self):
        from importlib.metadata import version

        import joblib

        from .._devices_and_seeds import resolve_device
        from ..encoders._sentence_models import hash_folder
        from ._generative_models import resolve_precision

        check_is_fitted(self)
        known = self.cache if isinstance(self.cache, EmbeddingCache) else None
        parts = [hash_folder(self._folder(), known), self.class_names_, self.prompt, self.chat]
        parts += [self.system, self.chat_kwargs, self.end_token]
        parts += [resolve_precision(self.precision, resolve_device(self.device))]
        # A major release may build a model otherwise.
        parts += [version("transformers").partition(".")[0], _REVISION]
        return joblib.hash((class_name(type(self)), parts))

    def _folder(self):
        from ..encoders._transformers_folder import find_folder

        return find_folder(self.model, self.revision, self.cache_dir)

    def _check_settings(self):
        from ._generative_models import PRECISIONS

        self._check_prompt()
        for name in ("chat", "end_token"):
            if not isinstance(getattr(self, name), str) or getattr(self, name) != "auto":
                check_flag(getattr(self, name), name)
        check_flag(self.length_normalize, "length_normalize")
        check_flag(self.remove_prior, "remove_prior")
        check_number(self.temperature, "temperature", above=0)
        check_integer(self.batch_size, "batch_size", 1)
        check_choice(self.precision, "precision", PRECISIONS)
        check_choice(self.on_error, "on_error", ("raise", "skip"))
        check_cache(self.cache, "GenerativeTeacher")
        if self.system is not None and not isinstance(self.system, str):
            raise WrongParameter(f"system={self.system!r:.100} must be a str or None")
        kwargs = self.chat_kwargs
        if kwargs is not None and not (
            isinstance(kwargs, dict) and all(isinstance(name, str) for name in kwargs)
        ):
            raise WrongParameter(f"chat_kwargs={kwargs!r:.100} must be a dict for the template")
        own = {"messages", "conversation", "tokenize", "add_generation_prompt", "chat_template"}
        if own & set(kwargs or ()):
            raise WrongParameter(
                f"chat_kwargs sets {', '.join(sorted(own & set(kwargs)))}, which GenerativeTeacher "
                "decides itself"
            )

    def _template(self, kind, chat=True):
        """Return the prompt with the place of the text, for rows of a kind."""
        prompt = self.prompt
        if prompt is None:
            prompt = _QUESTION[kind] if chat else _QUESTION[kind] + "\nAnswer:"
        return self._place_text(prompt, kind)
