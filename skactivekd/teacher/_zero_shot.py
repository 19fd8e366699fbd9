"""Zero-shot classification: samples against the names of the classes."""

from ._embedding_teacher import EmbeddingTeacher


class ZeroShotTeacher(EmbeddingTeacher):
    r"""Classify images or texts by the names of the classes, without training.

    Each class is the mean of the embeddings of its name in every template;
    each sample is compared with all of them:

    .. math:: p(c \mid x) \propto \exp(s \, f(x)^\top w_c), \qquad
       w_c = \frac{\bar g_c}{\lVert \bar g_c \rVert}, \qquad
       \bar g_c = \frac{1}{T} \sum_{t=1}^{T} g(\text{template}_t(c))

    where f and g give embeddings of norm 1 and s is `logit_scale`.

    .. versionadded:: 0.1

    Parameters
    ----------
    encoder : object or None, default=None
        Has ``encode_image(X)`` and ``encode_text(list of str)``, or the
        latter alone where samples are texts; they return arrays of shape
        (n, d), rows of norm 1. None is ``OpenCLIPEncoder()``, the model of
        this package, which knows digits only. One that is not a scikit-learn estimator is shared by
        clones, not copied.
    classes : sequence of labels, mapping of label to name, or None, default=None
        The classes, by the labels that stand in y; without a mapping, their
        names are ``str(label)``. Where y holds numbers, the mapping says which
        name each stands for. None is the ten digits for the model of this
        package, which takes no others, and an error for other encoders.
    templates : str, callable, mapping, sequence of these, or None, default=None
        What to make of a name, as `class_prompts` has it: each ``str`` has
        ``{}`` where the name goes; each callable takes the name and returns
        the text. None is what the model of this package was trained with, for
        others "a photo of a {}.", for those of sounds "This is a sound of {}.",
        and for those of texts alone "{}".
    logit_scale : float, "auto" or None, default=None
        Inverse temperature of the softmax. None is the encoder's own, its
        attribute `logit_scale_`: for `OpenCLIPEncoder` what the model learned,
        100 for CLIP's; for `SentenceEncoder` about 20. An encoder without one
        has 100, one of texts alone 20. "auto" starts from there and fits it to
        the labeled rows given to `fit`, as `best_logit_scale` does; only
        these are encoded.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y; matters for "auto" only.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` follow them.
    class_embeddings_ : ndarray of float32 of shape (n_classes, d)
        Rows of norm 1.
    logit_scale_ : float
        The scale in use.
    encoder_ : object
        The encoder in use.

    See Also
    --------
    CLAPTeacher, TipAdapterTeacher : Improve with labels.
    OpenCLIPEncoder : The default encoder.

    Notes
    -----
    Embeddings are kept by content (see `EmbeddingCache`): a teacher that is
    cloned for every fold of a grid search encodes each sample once.

    References
    ----------
    .. [1] A. Radford et al. "Learning Transferable Visual Models From Natural
       Language Supervision". ICML 2021, section 3.1. arXiv:2103.00020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skactivekd import ZeroShotTeacher
    >>> digits = load_digits()
    >>> teacher = ZeroShotTeacher().fit()
    >>> teacher.predict_proba(digits.images[:5] / 16).shape
    (5, 10)
    """

    def __init__(
        self,
        encoder=None,
        classes=None,
        templates=None,
        logit_scale=None,
        *,
        missing_label=-1,
    ):
        self.encoder = encoder
        self.classes = classes
        self.templates = templates
        self.logit_scale = logit_scale
        self.missing_label = missing_label
