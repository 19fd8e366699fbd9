"""The student as a scikit-learn classifier."""

import copy
import numbers

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import (
    check_is_fitted,
    validate_data,
)

from .._torch import alone, draw_seed, fewer_threads, own_settings, resolve_device, seeded
from ..encoders._pixels import channel_axis, white_level
from ..utils._labels import (
    check_classes,
    check_labels,
    encode_labels,
    find_classes,
    refuse_learned_marker,
)
from ..utils._matrix import as_ndarray
from ..utils._params import (
    check_choice,
    check_flag,
    check_number,
    is_number,
    naming,
    refuse_mask,
)
from ..utils._proba import check_proba, column_names
from ..utils._score import LabeledScoreMixin, check_weights
from . import _distilled
from ._batches import RowDataset
from ._heads import ResidualHeads, mix_heads
from ._inputs import measure_scaling
from ._left_out import LeftOut, refuse_left_out
from ._memory import identify, memory
from ._net import DHONet, fill
from ._pictures import ROW_SHAPE, Pictures, holds_pictures, holds_texts, naming_all, spread
from ._residual import PENALTIES, choose_residual, fit_residual, plan_folds
from ._soft_labels import SoftLabeled
from ._targets import resolve_classes

_BLOCK = 1024  # rows whose heads are mixed at once: the parts of a mixture are as large as it

_ROUNDING = 0.1  # by which bicubic resizing may leave [0, 1]; normalized pixels leave it by far


class DHOClassifier(LabeledScoreMixin, ClassifierMixin, BaseEstimator):
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

    @own_settings()
    def predict_proba(self, X, head="mixed"):
        """Return class probabilities.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.
        head : {"mixed", "ce", "kd"}, default="mixed"
            "kd" is the head trained on the teacher, "ce" that trained on the
            labels. "mixed" is what the student believes: with "residual" heads
            the corrected teacher, with "dual" ones ``alpha * softmax(ce) +
            (1 - alpha) * softmax(kd / beta)``, of the heads that were trained.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            Columns follow ``classes_``.

        Raises
        ------
        ValueError
            If `head` is unknown or was never trained.
        """
        check_is_fitted(self)
        self._check_params()
        check_choice(head, "head", ("mixed", "ce", "kd"))
        if head != "mixed" and head not in self.trained_heads_:
            raise ValueError(
                f"The {head!r} head was not trained: fit had no "
                f"{'labels' if head == 'ce' else 'teacher'}. Use head='mixed'."
            )
        X = self._rows(X)
        rows, good = _readable(X)
        with naming_all(rows):
            parts = (self._mix(*logits, head) for logits in self.net_.forward_iter(rows))
            proba = fill(parts, rows.shape[0]).numpy()
        return spread(X, proba, good, 1 / len(self.classes_))

    def predict(self, X):
        """Return the likeliest class of each row.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    @own_settings()
    def embed(self, X):
        """Return the backbone's features, for strategies that select by them.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, d)
        """
        check_is_fitted(self)
        X = self._rows(X)
        rows, good = _readable(X)
        with naming_all(rows):
            return spread(X, self.net_.embed(rows), good, 0)

    @own_settings()
    def predict_proba_embed(self, X):
        """Return class probabilities and the backbone's features, from one pass over X.

        For strategies that select by both: the backbone, which takes nearly all
        of the time, runs once.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, ...)
            Rows of the shape seen in ``fit``.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            Those of `predict_proba`, to the bit.
        features : ndarray of float32 of shape (n_samples, d)
            Those of `embed`, to the bit.

        Examples
        --------
        >>> import numpy as np
        >>> from skactivekd import DHOClassifier, DHONet
        >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        >>> net = DHONet(max_epochs=5, module__hidden=16)
        >>> clf = DHOClassifier(net, random_state=0).fit(X, [0, -1, -1, 1])
        >>> proba, features = clf.predict_proba_embed(X)
        >>> proba.shape, features.shape
        ((4, 2), (4, 16))
        """
        check_is_fitted(self)
        self._check_params()
        X = self._rows(X)
        rows, good = _readable(X)
        with naming_all(rows):
            ce_logits, kd_logits, features = self.net_.forward_embed(rows)
        blocks = zip(ce_logits.split(_BLOCK), kd_logits.split(_BLOCK), strict=True)
        proba = fill((self._mix(*logits) for logits in blocks), len(features)).numpy()
        proba = spread(X, proba, good, 1 / len(self.classes_))
        return proba, spread(X, features.numpy(), good, 0)

    def save(self, directory, *, overwrite=False, scores=None, modules=None):
        """Save the fitted student to a folder, without pickle, as `skactivekd.save` does.

        Parameters
        ----------
        directory : str or path
            The folder, made anew: ``model.safetensors``, ``config.json`` and a
            model card. `skactivekd.load` reads it.
        overwrite : bool, default=False
            Replace a saved model that is there.
        scores : dict of str to float, default=None
            What the card should say of its quality.
        modules : dict of str to class, function or torch.nn.Module, default=None
            Backbones that are code of yours, by a name of your choice.

        Raises
        ------
        FileExistsError
            If something is there already.
        ValueError
            If there is a part that has no form but pickle; the message names it.
        """
        from ..persistence import save

        save(self, directory, overwrite=overwrite, scores=scores, modules=modules)

    def export(self, path, X=None, *, overwrite=False):
        """Write the fitted student as one ONNX or torch.export program, as `skactivekd.export`.

        Parameters
        ----------
        path : str or path
            Ends in ``.onnx`` or ``.pt2``.
        X : {array-like, CSR matrix} of shape (n_samples, ...), default=None
            Rows on which the file is compared with ``predict_proba``. None
            draws random ones.
        overwrite : bool, default=False
            Replace a file that is there.

        Raises
        ------
        FileExistsError
            If there is such a file already.
        ValueError
            If the path ends in something else, or the file would predict otherwise.
        """
        from ..persistence import export

        export(self, path, X, overwrite=overwrite)

    def _mix(self, ce_logits, kd_logits, head="mixed"):
        return mix_heads(ce_logits, kd_logits, *self._mixing(head))

    def _mixing(self, head="mixed"):
        """Return the weight of the "ce" head in a prediction, and the temperature of the other."""
        alpha, beta = self._mixture()
        if head == "mixed" and self.trained_heads_ != ("ce", "kd"):
            (head,) = self.trained_heads_
        elif head == "mixed" and self._fitted_heads == "residual":
            head = "ce"
        return {"mixed": alpha, "ce": 1, "kd": 0}[head], beta

    def _train(self, X, y, teacher_proba, sample_weight, keep, classes=None, on=False):
        self._check_params()
        # One fit at a time, from the first seed to the last weight: threads side by side would
        # draw from each other's random numbers.
        with alone(), own_settings():
            # All happens to a copy, so that what fails leaves this model as it was.
            trained = copy.copy(self)
            keep = keep and hasattr(self, "net_")
            refuse_left_out(self, keep)
            if keep:
                trained._seeds = copy.deepcopy(self._seeds)
                if not hasattr(self.net_, "accelerator"):
                    trained.net_ = copy.deepcopy(self.net_)
            trained._learn(X, y, teacher_proba, sample_weight, keep, classes, on)
            self.__dict__ = trained.__dict__
        return self

    def _learn(self, X, y, teacher_proba, sample_weight, keep, classes, on):
        asked = X.teacher if isinstance(X, SoftLabeled) else None
        X, teacher_proba, teacher_classes, exact = _unpack(X, teacher_proba)
        X = self._take_in(X) if keep else self._take_in_new(X)
        declared, known = self._declare(classes, keep), teacher_classes
        if declared is not None:
            known = declared.labels
        refuse_learned_marker(teacher_classes, self.missing_label, "The teacher")
        y, labeled = check_labels(y, self.missing_label, classes=known, n_rows=X.shape[0])
        sample_weight = check_weights(sample_weight, X)
        if teacher_proba is not None:
            teacher_proba = as_ndarray(check_proba(teacher_proba, "teacher_proba", n_rows=len(y)))
        if isinstance(X, Pictures) and X.on_error == "skip":
            good = X.without_bad()
            X, y, labeled = X[good], y[good], labeled[good]
            sample_weight = None if sample_weight is None else sample_weight[good]
            teacher_proba = None if teacher_proba is None else teacher_proba[good]
        if keep and self.heads != self._fitted_heads:
            raise ValueError(
                f"heads={self.heads!r}, but this student was fitted with "
                f"heads={self._fitted_heads!r}. Call fit on a new clone to change them."
            )
        found, columns = resolve_classes(
            find_classes(y, labeled),
            declared,
            teacher_classes,
            None if teacher_proba is None else teacher_proba.shape[1],
            exact,
        )
        codes = encode_labels(y, found, self.missing_label)
        if sample_weight is not None:
            codes[sample_weight == 0] = -1
        weight = self._loss_weight()
        if weight == 0:
            teacher_proba = columns = asked = None
        if keep and isinstance(self.net_.module_.heads, ResidualHeads):
            self._check_teacher_stays(weight)
            if teacher_proba is None:
                self._trained_heads((codes >= 0).any(), False)
            trained = ("ce",) if (codes >= 0).any() and weight < 1 else ()
        else:
            trained = self._trained_heads((codes >= 0).any(), teacher_proba is not None)
        if not keep:
            self.classes_ = found
            self._declared = check_classes(found, None) if declared is None else declared
            self._row_shape = X.shape[1:]
            self._seeds = np.random.RandomState(draw_seed(self.random_state))
            self._fitted_heads = self.heads
            self.trained_heads_ = ()
        label_weight = self._label_weight(codes, sample_weight)
        if label_weight is not None:
            codes[label_weight == 0] = -1
        teacher = {} if teacher_proba is None else {"teacher_weight": sample_weight}
        if keep:
            residual = isinstance(self.net_.module_.heads, ResidualHeads)
        else:
            residual = self.heads == "residual" and teacher_proba is not None
        if residual:
            rows = RowDataset(X, None, teacher_proba, columns=columns, **teacher)
            rows.teacher = asked
            self._fit_residual(rows, codes, label_weight, keep, on and keep)
        else:
            if keep:
                self._check_no_teacher_comes(teacher_proba is not None)
            net = self.net_ if keep else self._new_net(X, teacher_proba is not None)
            if not keep:
                self._scale_inputs(net, X, sample_weight)
            else:
                net.criterion_.distill_weight = weight
                net.criterion_.temperature = self.temperature
            rows = RowDataset(
                net.show(X),
                codes,
                teacher_proba,
                columns=columns,
                sample_weight=label_weight,
                **teacher,
            )
            rows.teacher = asked
            self._fit_net(net, rows, keep)
            self.net_ = net
            self.distill_weight_ = 0.0 if teacher_proba is None else float(weight)
        self.trained_heads_ = tuple(
            h for h in ("ce", "kd") if h in {*self.trained_heads_, *trained}
        )
        self._note_teaching(codes, teacher_proba is not None, keep)

    def _note_teaching(self, codes, has_teacher, keep):
        """Count what was learned from, for the model card."""
        labels = np.bincount(codes[codes >= 0], minlength=len(self.classes_))
        before = self._taught_by if keep else {"rows": 0, "labels": 0 * labels, "calls": 0}
        self._taught_by = {
            "rows": before["rows"] + len(codes),
            "labels": (labels + before["labels"]).tolist(),
            "teacher": has_teacher or before.get("teacher", False),
            "calls": before["calls"] + 1,
        }

    def _fit_residual(self, rows, codes, label_weight, keep, further):
        """Distill, or find what was distilled; then let the labels correct it."""
        seed = draw_seed(self._seeds)
        with naming_all(rows.X):
            distilled = self._distill(rows, seed, keep, further)
        with fewer_threads():
            residual = self._find_correction(distilled, rows.X, codes, label_weight, seed, further)
        if residual is not None:
            _distilled.set_correction(distilled, residual, further)
        self.net_ = distilled.net

    def _distill(self, rows, seed, keep, further):
        if keep:
            net, key = self.net_, None
            if not further:
                net.module_.heads.reset_correction()
            net.criterion_.temperature = self.temperature
        else:
            net = self._new_net(rows.X)
            repeatable = (
                self.reuse
                and rows.teacher is None
                and isinstance(self.random_state, numbers.Integral)
            )
            key = identify(net, rows, seed) if repeatable else None
            known = memory.get(key)
            if known is not None:
                return known
            self._scale_inputs(net, rows.X, rows.teacher_weight)
        rows.X = net.show(rows.X)
        if rows.teacher_proba is not None:
            with seeded(seed, _device(net)):
                (net.partial_fit if keep else net.fit)(rows, None)
        distilled = _distilled.survey(net, rows, linear=not further)
        memory.put(key, distilled)
        return distilled

    def _find_correction(self, distilled, X, codes, label_weight, seed, further):
        """Return the correction that the labels ask for, None where they ask for none."""
        labeled = np.flatnonzero(codes >= 0)
        if self.distill_weight == 1:
            distilled.net.module_.heads.reset_correction()
        if self.distill_weight == 1 or not (len(labeled) or further):
            self.distill_weight_ = 1.0
        if self.distill_weight == 1 or not len(labeled):
            return None
        anchors, anchored = _distilled.stand_ins(distilled, codes)
        picked = np.concatenate([labeled, anchors])
        targets = np.concatenate([codes[labeled], anchored])
        is_anchor = np.arange(len(picked)) >= len(labeled)
        weight = np.ones(len(picked))
        if label_weight is not None:
            weight[: len(labeled)] = label_weight[labeled]
        unseen = np.setdiff1d(np.arange(len(self.classes_)), codes[labeled])
        fit_weight, test_weight = plan_folds(
            targets,
            is_anchor,
            weight,
            float(distilled.class_mass[unseen].sum()),
            # Without a seed, processes that train one student together still deal alike.
            np.random.RandomState(0 if self.random_state is None else seed),
        )
        logits, features = _distilled.correction_features(distilled, X, picked, further)
        if self.distill_weight == "auto":
            residual, shares = choose_residual(features, logits, targets, fit_weight, test_weight)
            follow = np.array([1.0, *(penalty / (1 + penalty) for penalty in PENALTIES)])
            self.distill_weight_ = float(shares @ follow)
            return residual
        self.distill_weight_ = float(self.distill_weight)
        penalty = self.distill_weight / (1 - self.distill_weight)
        return fit_residual(features, logits, targets, penalty, fit_weight[:, 0])

    def _fit_net(self, net, rows, keep=False):
        with naming_all(rows.X), seeded(draw_seed(self._seeds), _device(net)):
            (net.partial_fit if keep else net.fit)(rows, None)

    def _mixture(self):
        return self.alpha, self.beta

    def _loss_weight(self):
        """Return the weight of the teacher in the loss of the network."""
        return 0.5 if self.distill_weight == "auto" else self.distill_weight

    def _label_weight(self, codes, sample_weight):
        """Return the weight of each row's label, None where all weigh the same."""
        labeled = codes >= 0
        if self.class_weight is None or not labeled.any():
            return sample_weight
        present = np.unique(codes[labeled])
        class_weight = self.class_weight
        if isinstance(class_weight, dict):
            unknown = [label for label in class_weight if label not in self.classes_.tolist()]
            if unknown:
                raise ValueError(
                    f"class_weight names {unknown}, which are not among the classes "
                    f"{self.classes_.tolist()}."
                )
            by_class = [class_weight.get(label, 1.0) for label in self.classes_.tolist()]
        else:
            own = None if sample_weight is None else sample_weight[labeled]
            found = compute_class_weight(
                class_weight, classes=present, y=codes[labeled], sample_weight=own
            )
            by_class = np.ones(len(self.classes_))
            by_class[present] = found
        bad = [weight for weight in by_class if not 0 <= weight < np.inf]
        if bad:
            raise ValueError(
                f"class_weight must hold finite numbers, zero or more, got {class_weight!r}."
            )
        weight = np.ones(len(codes)) if sample_weight is None else sample_weight
        return np.where(labeled, weight * np.asarray(by_class, dtype=float)[codes], weight)

    def _new_net(self, X, has_teacher=True):
        net = DHONet() if self.net is None else clone(self.net)
        owned = {"distill_weight", "temperature"} & set(net.get_params_for("criterion"))
        if owned:
            raise ValueError(f"Set {sorted(owned)} on DHOClassifier, not on its net.")
        if net.warm_start:
            raise ValueError("Set warm_start on DHOClassifier, not on its net.")
        heads, weight = self.heads, self._loss_weight()
        if heads == "residual":
            # Without a teacher there is nothing to correct: a head for the labels alone.
            heads, weight = ("residual", 1.0) if has_teacher else ("dual", 0.5)
        net.set_params(
            n_classes=len(self.classes_),
            input_shape=_input_shape(net, X),
            heads=heads,
            criterion__distill_weight=weight,
            criterion__temperature=self.temperature,
        )
        if self.device is not None:
            net.set_params(device=str(resolve_device(self.device)))
        return net

    def _scale_inputs(self, net, X, sample_weight):
        if self.heads == "residual" and net.module is None and len(X.shape) == 2:
            net.set_params(input_scaling=measure_scaling(X, sample_weight))

    def _trained_heads(self, has_labels, has_teacher):
        uses_labels = bool(has_labels) and (not has_teacher or self._loss_weight() < 1)
        if not uses_labels and not has_teacher:
            raise ValueError(
                "There is nothing to learn from: no row of y is labeled and no teacher counts. "
                "Label some rows, or pass teacher_proba with distill_weight > 0."
            )
        if self.heads == "single":
            return ("ce",)
        return tuple(head for head, used in (("ce", uses_labels), ("kd", has_teacher)) if used)

    def _check_teacher_stays(self, weight):
        if weight == 0:
            raise ValueError(
                "distill_weight=0 leaves the teacher out, but this student started from one. Call "
                "fit on a new clone, with warm_start=False."
            )

    def _check_no_teacher_comes(self, has_teacher):
        if self.heads == "residual" and has_teacher:
            raise ValueError(
                "The first fit had no teacher, so that there is none that the labels could "
                "correct. Call fit on a new clone with the teacher, or take heads='dual'."
            )

    def _rows(self, X):
        X = self._take_in(X.X if isinstance(X, SoftLabeled) else X)
        if isinstance(X, Pictures):
            return self.net_.show(X)
        if X.shape[1:] != self._row_shape:
            raise ValueError(
                f"X has rows of shape {X.shape[1:]}, but DHOClassifier was fitted on rows of shape "
                f"{self._row_shape}."
            )
        return X

    def _take_in_new(self, X):
        """Return a first X, checked."""
        if holds_pictures(X):
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
            return Pictures(X, getattr(self.net, "on_error", "raise"))
        if holds_texts(X):
            raise ValueError(
                "X holds texts, which the student cannot take as numbers: make numbers of them, by "
                "TfidfVectorizer() in a pipeline say. (If they are to be paths: the first of them "
                "name no files.)"
            )
        return self._validate(X, reset=True)

    def _take_in(self, X):
        """Return a further X, checked."""
        if self._row_shape == ROW_SHAPE:
            return Pictures(X, self.net_.on_error)
        if holds_pictures(X):
            raise ValueError(
                "X holds pictures one by one, but DHOClassifier was fitted on an array with rows "
                f"of shape {self._row_shape}. Pass such an array, or fit on pictures."
            )
        return self._validate(X, reset=False)

    def _validate(self, X, reset):
        """Return X as an array of numbers or a CSR matrix."""
        refuse_mask(X, "X")
        with naming("X"):
            X = X.detach() if torch.is_tensor(X) else X
            X = validate_data(self, X, accept_sparse="csr", allow_nd=True, reset=reset)
            if X.dtype.kind not in "fiub":
                raise TypeError(f"X must hold real numbers, got dtype {X.dtype}.")
        _check_images(X)
        if issparse(X):
            return X.astype(np.float64) if X.dtype.itemsize > 8 else X
        return as_ndarray(X)

    def _declare(self, classes, keep):
        """Return all classes as declared now, or in the first fit; None if they never were."""
        classes = self.classes if classes is None else classes
        declared = None if classes is None else check_classes(classes, self.missing_label)
        if not keep:
            return declared
        if declared is not None and not np.array_equal(declared.labels, self.classes_):
            raise ValueError(
                f"classes={declared.labels.tolist()} differ from those of the first fit, "
                f"{self.classes_.tolist()}. Call fit on a new clone to change them."
            )
        return self._declared

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


def _device(net):
    # A net without a device has an accelerator that has one.
    return torch.device(net.device or getattr(net, "accelerator", net).device or "cpu")


def _unpack(X, teacher_proba):
    """Split into X, probabilities, what their columns are called, and whether in a frame."""
    if not isinstance(X, SoftLabeled):
        names = column_names(teacher_proba, "teacher_proba")
        return X, teacher_proba, names, names is not None
    if teacher_proba is not None:
        raise ValueError(
            "X comes from TeacherProba and carries teacher probabilities already; "
            "do not pass teacher_proba as well."
        )
    return X.X, X.proba, X.classes, X.exact


def _readable(X):
    """Return the rows that can be read, and which they are; None stands for all."""
    if not isinstance(X, Pictures) or X.on_error == "raise":
        return X, None
    good = X.without_bad()
    return X[good], good


def _check_images(X):
    """Refuse arrays of images that may mean two things, before anything is learned."""
    if len(X.shape) not in (3, 4):
        return
    try:
        channel_axis(X.shape)
        white_level(X.dtype)
    except ValueError as error:
        raise ValueError(f"X has images of {error}.") from None


def _input_shape(net, X):
    """Shape of one row as the network sees it: (n_features,) or (C, H, W)."""
    if isinstance(X, Pictures):
        return net.find_input_shape(X)
    shape = _row_shape(X.shape)
    if len(shape) != 3:
        return shape
    if net.normalize == "auto" and X.dtype.kind == "f" and net.pixel_config() is not None:
        pixels = X.min(initial=0) >= -_ROUNDING and X.max(initial=0) <= 1 + _ROUNDING
        net.set_params(normalize=bool(pixels))
    return net.find_input_shape(shape)


def _row_shape(shape):
    """Shape of one row with channels first."""
    if len(shape) > 4:
        raise ValueError(
            f"X must have rows of numbers, (n, n_features), or images, (n, H, W), (n, C, H, W) or "
            f"(n, H, W, C), got shape {tuple(shape)}."
        )
    axis = channel_axis(shape) if len(shape) > 2 else 1
    if axis is None:
        return (1, *shape[1:])
    return (shape[3], *shape[1:3]) if axis == 3 else tuple(shape[1:])
