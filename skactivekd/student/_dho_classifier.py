"""The student as a scikit-learn classifier."""

import copy

from sklearn.base import BaseEstimator, ClassifierMixin

from .._devices_and_seeds import alone, own_settings
from .._interrupts import noticed_interrupts
from ..utils._check_params import (
    check_choice,
    check_flag,
    check_number,
    is_number,
)
from ..utils._score import LabeledScoreMixin
from ._dho_net import DHONet
from ._distill_then_correct import Correction
from ._input import TakesRows
from ._net_settings import NetMaking
from ._prediction import Prediction
from ._saving import Saving
from ._training_rows import Teaching
from ._unsaved_setting import LeftOut, refuse_left_out


class DHOClassifier(
    Prediction,
    Saving,
    Teaching,
    Correction,
    NetMaking,
    TakesRows,
    LabeledScoreMixin,
    ClassifierMixin,
    BaseEstimator,
):
    r"""Compact classifier taught by few labels and a large pretrained teacher.

    The student first imitates the teacher on all rows. The labels then correct
    it: the head that predicts is the teacher's head plus a linear function of
    the features, fitted to the labeled rows,

    .. math:: \mathrm{logits}(x) = s \, h_{KD}(x) + W z(x) + b ,

    and held back as far as held-out labels ask for. Without labels it is the
    distilled teacher; one label moves it a little, many move it far. The first
    part does not depend on the labels: with the same rows, teacher and settings
    it is not trained again, and new labels cost milliseconds.

    ``heads="dual"`` is DHO as published [1]_: one head learns the labels, the
    other the teacher, on one backbone, and prediction mixes them evenly.

    .. versionadded:: 0.1

    Parameters
    ----------
    net : DHONet, default=None
        Unfitted net, cloned by ``fit``: backbone, epochs, learning rate, batch
        sizes and callbacks are its parameters, searchable as ``net__lr``,
        ``net__max_epochs``, ``net__module__hidden`` ... None is ``DHONet()``.
    heads : {"residual", "dual", "single"}, default="residual"
        "residual": the labels correct the teacher's head, see above. "dual":
        DHO as published. "single": one head learns from both, the classical
        distillation that DHO is measured against.
    distill_weight : {"auto"} or float in [0, 1], default="auto"
        How far the student follows the teacher: 0 is the labels alone, without
        teacher, 1 the teacher alone. With "residual" heads w between them is
        the penalty ``w / (1 - w)`` on the correction, and "auto" finds it from
        the labels. With "dual" and "single" heads it is the weight of the
        teacher in the loss, and "auto" the published 0.5.
    temperature : float > 0, default=2.0
        Softens teacher and student in the loss.
    alpha : float in [0, 1], default=0.5
        With ``heads="dual"``: weight of the head trained on labels in
        ``predict_proba``. May be changed after ``fit``.
    beta : float > 0, default=1.0
        With ``heads="dual"``: temperature of the head trained on the teacher
        in ``predict_proba``. May be changed after ``fit``.
    classes : sequence of labels, or mapping of label to name, default=None
        All classes. Needed where y may miss some and the teacher does not name
        them. Columns of a `teacher_proba` array follow this order, those of a
        data frame are matched by name; ``classes_`` is sorted. A mapping says
        what the teacher calls each label: ``{0: "cat", 1: "dog"}`` where y
        holds numbers and the teacher names.
    class_weight : dict of label to float, "balanced" or None, default=None
        Weights of the labels, as in `sklearn.linear_model.LogisticRegression`;
        "balanced" goes by the labels known so far. The teacher's answers, which
        come without labels, are not weighted by it.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y.
    reuse : bool, default=True
        Take what an earlier fit in this process distilled from the same rows,
        teacher, settings and seed; needs a `random_state` that is a number.
        False trains anew each time.
    warm_start : bool, default=False
        Let ``fit`` continue from the last fit.
    random_state : None, int or numpy.random.RandomState, default=None
        Governs initial weights, batches and dropout. Global generators are
        neither read nor moved. A number lets refits reuse what was distilled;
        None trains anew each time.
    device : {"auto"}, str, torch.device or None, default="auto"
        Where to train. "auto" takes CUDA, then MPS, then the CPU; None leaves
        it to `net`, as `AcceleratedDHONet` needs it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted; columns of ``predict_proba`` follow them.
    net_ : DHONet
        The trained net.
    trained_heads_ : tuple of str
        Which of "ce" and "kd" has seen data. A head without data (no labels,
        or no teacher) takes no part in ``predict_proba``.
    distill_weight_ : float
        How far the teacher is followed. What "auto" found with "residual"
        heads: the mean over the penalties it averages; 1 without labels, 0
        without teacher.
    n_features_in_ : int
        Width of X seen in ``fit``; channels or height for images.
    feature_names_in_ : ndarray of str
        Column names, where X had some.

    See Also
    --------
    DHONet : The net that it trains, with all of its settings.
    TeacherProba : Brings a teacher into a pipeline.
    skactivekd.save : Writes a fitted student without pickle.

    Notes
    -----
    X is dense 2-D, CSR (made dense batch by batch), or images of shape
    (n, H, W), (n, C, H, W) or (n, H, W, C), with any number C of channels,
    which come first unless there are 1, 3 or 4 of them. Integers of images are
    divided by 65535 if they are uint16, by 255 otherwise, and may hold nothing
    above that; floats are taken as they are.

    Where the backbone is the package's perceptron, its input is scaled first,
    half of the teacher's head is a logistic regression of the teacher's choices,
    and the correction sees the input beside the features.

    A class without any label keeps the rows that the teacher is surest of: three
    of them stand in for one label.

    References
    ----------
    .. [1] S. Kang, D. B. Lee, H. Jang, S. J. Hwang, "Simple Semi-supervised
       Knowledge Distillation from Vision-Language Models via Dual-Head
       Optimization", arXiv:2505.07675.

    Examples
    --------
    >>> import numpy as np
    >>> from skactivekd import DHOClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> teacher_proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    >>> clf = DHOClassifier(random_state=0).fit(X, [0, -1, -1, 1], teacher_proba=teacher_proba)
    >>> clf.predict([[-3.0], [3.0]])
    array([0, 1])
    """

    def __init__(
        self,
        net=None,
        *,
        heads="residual",
        distill_weight="auto",
        temperature=2.0,
        alpha=0.5,
        beta=1.0,
        classes=None,
        class_weight=None,
        missing_label=-1,
        reuse=True,
        warm_start=False,
        random_state=None,
        device="auto",
    ):
        self.net = net
        self.heads = heads
        self.distill_weight = distill_weight
        self.temperature = temperature
        self.alpha = alpha
        self.beta = beta
        self.classes = classes
        self.class_weight = class_weight
        self.missing_label = missing_label
        self.reuse = reuse
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device

    def __sklearn_tags__(self):
        """Declare what input is taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def set_params(self, **params):
        """Set parameters; ``net__*`` on ``net=None`` starts from ``DHONet()``.

        Parameters
        ----------
        **params
            Parameters of the classifier, or of its net as ``net__<name>``.

        Returns
        -------
        self : DHOClassifier
        """
        if self.net is None and any(name.startswith("net__") for name in params):
            params = {"net": DHONet(), **params}
        return super().set_params(**params)

    def fit(self, X, y, teacher_proba=None, sample_weight=None):
        """Train from scratch, unless ``warm_start``.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Labeled and unlabeled rows.
        y : array-like of shape (n_samples,)
            Labels, `missing_label` where unknown: all, some or none.
        teacher_proba : array-like of shape (n_samples, n_classes), default=None
            The teacher's probabilities, columns in the order of `classes`, or
            of the sorted labels; in a data frame each is named by its class.
            In a pipeline `TeacherProba` supplies them.
            None: plain supervised training on the labeled rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, zero or more, of the labels and of the teacher's answers.

        Returns
        -------
        self : DHOClassifier

        Raises
        ------
        ValueError
            If there is nothing to learn from, or X, y, `teacher_proba` and the
            parameters do not fit together, or the training diverges.
        KeyboardInterrupt
            If it is interrupted. Whatever is raised, the model is then as it
            was before.
        """
        return self._train(X, y, teacher_proba, sample_weight, keep=self.warm_start)

    def partial_fit(self, X, y, classes=None, teacher_proba=None, sample_weight=None):
        """Train on, for as many epochs as ``fit``, or start if unfitted.

        With "residual" heads the correction learned so far is the start, and
        new labels correct it further.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Labeled and unlabeled rows.
        y : array-like of shape (n_samples,)
            Labels, `missing_label` where unknown.
        classes : array-like of shape (n_classes,), default=None
            All classes, for the first call; None takes those of the
            constructor, the teacher or y.
        teacher_proba : array-like of shape (n_samples, n_classes), default=None
            As for ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None
            As for ``fit``.

        Returns
        -------
        self : DHOClassifier
        """
        return self._train(X, y, teacher_proba, sample_weight, keep=True, classes=classes, on=True)

    def _train(self, X, y, teacher_proba, sample_weight, keep, classes=None, on=False):
        self._check_params()
        # One fit at a time, from the first seed to the last weight: threads side by side would
        # draw from each other's random numbers.
        with alone(), own_settings(), noticed_interrupts() as interrupts:
            # All happens to a copy, so that what fails leaves this model as it was.
            trained = copy.copy(self)
            keep = keep and hasattr(self, "net_")
            refuse_left_out(self, keep)
            if keep:
                trained._seeds = copy.deepcopy(self._seeds)
                if not hasattr(self.net_, "accelerator"):
                    trained.net_ = copy.deepcopy(self.net_)
            trained._learn(X, y, teacher_proba, sample_weight, keep, classes, on)
            interrupts.check()
            self.__dict__ = trained.__dict__
        return self

    def _check_params(self):
        if not (self.net is None or isinstance(self.net, DHONet | LeftOut)):
            raise TypeError(
                f"net must be a DHONet, such as DHONet(max_epochs=50), got {self.net!r}."
            )
        check_choice(self.heads, "heads", ("residual", "dual", "single"))
        check_flag(self.reuse, "reuse")
        check_flag(self.warm_start, "warm_start")
        weight = self.distill_weight
        automatic = isinstance(weight, str) and weight == "auto"
        if not automatic and not (is_number(weight) and 0 <= weight <= 1):
            raise ValueError(f"distill_weight must be 'auto' or in [0, 1], got {weight!r}.")
        if not (is_number(self.alpha) and 0 <= self.alpha <= 1):
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha!r}.")
        for name in ("temperature", "beta"):
            check_number(getattr(self, name), name, above=0)
        weight = self.class_weight
        if not (weight is None or isinstance(weight, dict) or str(weight) == "balanced"):
            raise ValueError(
                f"class_weight must be None, 'balanced' or a dict of label to weight, got "
                f"{weight!r}."
            )
        if self.heads != "dual" and (self.alpha, self.beta) != (0.5, 1.0):
            raise ValueError(
                f"alpha={self.alpha} and beta={self.beta} mix the two heads of heads='dual'; with "
                f"heads={self.heads!r} they would do nothing. distill_weight says how far the "
                f"teacher is followed."
            )
