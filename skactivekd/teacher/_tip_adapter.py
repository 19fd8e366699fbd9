"""Tip-Adapter: zero-shot, helped by the most similar labeled rows."""

from functools import partial

import numpy as np
from sklearn.utils import gen_batches

from ..utils._check_params import check_flag, check_number
from ._embedding_teacher import FewShotTeacher, check_at_least
from ._few_shot_trust import is_even, keep_unlabeled
from ._tip_adapter_math import (
    choose,
    cross_validate,
    judge,
    leave_one_out,
    tip_adapter_logits,
    tune_keys,
    votes,
)

_ALPHAS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_BETAS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_DEFAULT = 4.0  # of alpha and of beta
_FEWEST = 10  # labeled rows that a choice may rest on
_N_FOLDS = 3
_BLOCK = 4096  # rows compared with the keys at once


class TipAdapterTeacher(FewShotTeacher):
    r"""Zero-shot teacher that also looks up the labels of similar rows.

    To the zero-shot logits it adds a vote of the labeled rows, whose
    embeddings are the keys K and whose one-hot labels the values V:

    .. math:: z = s \, f W^\top + \alpha \exp\bigl(-\beta (1 - f K^\top)\bigr) V

    Without labels it is `ZeroShotTeacher`, and with few it follows them no
    further than held-out labels justify, as `CLAPTeacher` does.

    .. versionadded:: 0.1

    Parameters
    ----------
    encoder, classes, templates, logit_scale
        As in `ZeroShotTeacher`.
    alpha : float or None, default=None
        Weight of the labeled rows; 0 is zero-shot.
    beta : float or None, default=None
        How fast a labeled row's vote falls with its distance.
        None of either is chosen by `fit` on the labeled rows alone, 0 being
        among the candidates for `alpha`; see Notes.
    guard : bool, default=True
        Fall back on zero-shot where the labels say too little. False is the
        method as published.
    fine_tune : bool, default=False
        Train the keys on the labeled rows: Tip-Adapter-F.
    lr : float, default=1e-3
        Learning rate of the keys.
    max_epochs : int, default=100
        Passes over the labeled rows to train the keys.
    batch_size : int, default=256
        Labeled rows in a step.
    missing_label : int, float nan, str or None, default=-1
        Marks the unlabeled rows of y.
    random_state : None, int or numpy.random.RandomState, default=None
        Draws batches and folds, if `fine_tune`. Global generators are neither
        read nor moved.
    device : {"auto"}, str or torch.device, default="auto"
        Where to train the keys. "auto" takes CUDA, then MPS, then the CPU.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` follow them.
    class_embeddings_ : ndarray of float32 of shape (n_classes, d)
        Of the names; rows of norm 1.
    keys_ : ndarray of float32 of shape (n_labeled, d)
        Of the labeled rows, tuned if `fine_tune`.
    key_classes_ : ndarray of int of shape (n_labeled,)
        Position of each key's class in `classes_`.
    alpha_, beta_ : float
        As given or chosen.
    seen_ : ndarray of bool of shape (n_classes,)
        The classes that have a label.
    trust_ : float
        Share of these logits in the mean with zero-shot's.
    logit_scale_ : float
        The scale in use.
    encoder_ : object
        The encoder in use.

    See Also
    --------
    CLAPTeacher : Moves the embeddings of the classes instead.
    tip_adapter_logits : The formula.

    Notes
    -----
    Alpha and beta are chosen on a grid. Each labeled row is judged without
    its own key; if `fine_tune`, by keys tuned on other folds of three. Of the
    candidates that are as accurate as the best within its standard error, the
    one of least log loss is taken. A row alone in its class cannot be judged;
    with fewer than ten that can, both are 4, the value at which keys are tuned.

    References
    ----------
    .. [1] R. Zhang et al. "Tip-Adapter: Training-free Adaption of CLIP for
       Few-shot Classification". ECCV 2022. arXiv:2207.09519.

    Examples
    --------
    >>> from skactivekd import TipAdapterTeacher, load_glyph_digits
    >>> X, y = load_glyph_digits(return_X_y=True)
    >>> hidden = y.copy()
    >>> hidden[40:] = -1
    >>> zero_shot, helped = TipAdapterTeacher().fit(), TipAdapterTeacher().fit(X, hidden)
    >>> bool(helped.score(X[40:400], y[40:400]) > zero_shot.score(X[40:400], y[40:400]))
    True
    """

    def __init__(
        self,
        encoder=None,
        classes=None,
        templates=None,
        logit_scale=None,
        *,
        alpha=None,
        beta=None,
        guard=True,
        fine_tune=False,
        lr=1e-3,
        max_epochs=100,
        batch_size=256,
        missing_label=-1,
        random_state=None,
        device="auto",
    ):
        self.encoder = encoder
        self.classes = classes
        self.templates = templates
        self.logit_scale = logit_scale
        self.alpha = alpha
        self.beta = beta
        self.guard = guard
        self.fine_tune = fine_tune
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.missing_label = missing_label
        self.random_state = random_state
        self.device = device

    def _fit_labeled(self, embeddings, codes):
        alphas, betas = self._candidates()
        self.keys_, self.key_classes_ = embeddings, codes
        zero_shot, parts = self._zero_shot(embeddings), leave_one_out(embeddings, codes)
        if self.fine_tune and len(codes):
            tune, cross_validate = self._tuning()
            self.keys_ = tune(embeddings, codes)
            if not np.isfinite(self.keys_).all():
                raise ValueError(f"The training diverged: lr={self.lr:g} is too large.")
            parts = cross_validate(embeddings, codes)
        self.alpha_, self.beta_ = self._choose(parts, zero_shot, codes, alphas, betas)

        def hold_out():
            # What makes good a lost key is sure only where each class has lost as much.
            even = is_even(codes, len(self.classes_))
            judged, taught = [zero_shot[:0]], [zero_shot[:0]]
            for part in parts:
                seen = np.bincount(part.key_classes, minlength=zero_shot.shape[1]) > 0
                before = zero_shot[part.rows]
                part = part if even else part._replace(own=None)
                after = before + self.alpha_ * votes(part, codes, self.beta_, len(self.classes_))
                judged.append(before)
                taught.append(keep_unlabeled(before, after, seen))
            rows = np.concatenate([codes[:0], *(part.rows for part in parts)])
            return np.concatenate(judged), np.concatenate(taught), codes[rows]

        return hold_out

    def _candidates(self):
        check_at_least(self, lr=0, max_epochs=1, batch_size=1)
        if self.alpha is not None:
            check_at_least(self, alpha=0)
        if self.beta is not None:
            # Cosines beyond 1 by their rounding are not to count for more than e.
            check_number(self.beta, "beta", most=1e6, above=0)
        check_flag(self.fine_tune, "fine_tune")
        alphas = _ALPHAS if self.alpha is None else (float(self.alpha),)
        return alphas, _BETAS if self.beta is None else (float(self.beta),)

    def _start(self):
        """Alpha and beta where keys are tuned, and where labels are too few to choose."""
        given = (self.alpha, self.beta)
        return tuple(_DEFAULT if value is None else float(value) for value in given)

    def _tuning(self):
        """What tunes keys, and what judges alpha and beta with tuned keys."""
        from .._devices_and_seeds import draw_seed, resolve_device

        seed = draw_seed(self.random_state)
        alpha, beta = self._start()
        tune = partial(
            tune_keys,
            class_embeddings=self.class_embeddings_,
            alpha=alpha,
            beta=beta,
            logit_scale=self.logit_scale_,
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=int(self.batch_size),
            seed=seed,
            device=resolve_device(self.device),
        )
        return tune, partial(cross_validate, tune, n_folds=_N_FOLDS, seed=seed)

    def _choose(self, parts, zero_shot, codes, alphas, betas):
        n_judged = (np.bincount(codes, minlength=1)[codes] > 1).sum()
        if len(alphas) == len(betas) == 1 or n_judged < _FEWEST:
            return self._start()
        line, column = choose(*judge(parts, zero_shot, codes, alphas, betas))
        return alphas[line], betas[column]

    def _taught(self, embeddings):
        if len(self.keys_) == 0 or self.alpha_ == 0:
            return self._zero_shot(embeddings)
        import torch

        one_hot = np.eye(len(self.classes_), dtype=np.float32)[self.key_classes_]
        known = map(torch.from_numpy, (self.class_embeddings_, self.keys_, one_hot))
        settings = (*known, self.alpha_, self.beta_, self.logit_scale_)
        blocks = gen_batches(len(embeddings), _BLOCK)
        logits = [
            tip_adapter_logits(torch.from_numpy(embeddings[block]), *settings) for block in blocks
        ]
        return torch.cat(logits).numpy()
