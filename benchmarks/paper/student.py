"""The student of the paper as a scikit-learn classifier on image paths."""

from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from skactivekd._torch import draw_seed, resolve_device, seeded
from skactivekd.student import WarmupDecay, mix_heads

from .net import AcceleratedNet, StudentNet, TeacherOnViews, forward_shared, timm_backbone
from .rows import ImageRows, test_view, train_view, training_loader


class FolderStudent(ClassifierMixin, BaseEstimator):
    """DHO on images that are read from disk batch by batch, as the paper trains it.

    Parameters
    ----------
    n_classes : int
        Labels are 0 to n_classes - 1, and -1 where unknown.
    teacher : estimator, default=None
        A teacher of the package, fitted anew on the labels of each fit. None:
        plain training on the labels.
    backbone, pretrained, checkpoint
        As for `timm_backbone`.
    image_size : int, default=224
    interpolation : {"bilinear", "bicubic"}, default="bilinear"
        Of the training views.
    teacher_views : {"augmented", "once"}, default="augmented"
        Whether the teacher sees the student's view at every step, or each
        image once as it is.
    batch_size : int, default=64
        Rows of each half of a batch, over all GPUs.
    lr : float, default=1e-3
        Of AdamW.
    schedule : {"linear", "cosine"}, default="linear"
        "linear" goes up for 10 % of the steps, then down; "cosine" down only.
    passes : int, default=200
        Passes over the rows of `passes_over`; they make the number of steps.
    passes_over : {"labeled", "unlabeled"}, default="labeled"
    final_passes, final_labels : int, default=None
        Take `final_passes` from `final_labels` labels on: the last round.
    replacement : bool, default=True
        Draw the labelled half with replacement.
    apart : bool, default=True
        As for `StudentNet`.
    alpha, beta : float, default=0.5, 1.0
        Mixture of the heads in `predict_proba`, which the strategies ask.
    eval_alpha, eval_beta : float, default=0.5, 1.0
        Mixture in `predict`, which is scored.
    distill_weight, temperature : float, default=0.5, 2.0
        Of the loss.
    n_workers : int, default=8
        Processes that read images. The random views depend on their number.
    accelerate : bool, default=False
        Train on all processes of ``accelerate launch``.
    random_state : None, int or numpy.random.RandomState, default=None
    device : {"auto"} or str, default="auto"
        Ignored with `accelerate`.

    Attributes
    ----------
    classes_ : ndarray of int
    n_steps_ : int
        Training steps taken.
    teacher_ : estimator or None
    net_ : StudentNet
    """

    def __init__(
        self,
        n_classes,
        teacher=None,
        *,
        backbone="resnet18",
        pretrained=True,
        checkpoint=None,
        image_size=224,
        interpolation="bilinear",
        teacher_views="augmented",
        batch_size=64,
        lr=1e-3,
        schedule="linear",
        passes=200,
        passes_over="labeled",
        final_passes=None,
        final_labels=None,
        replacement=True,
        apart=True,
        alpha=0.5,
        beta=1.0,
        eval_alpha=0.5,
        eval_beta=1.0,
        distill_weight=0.5,
        temperature=2.0,
        n_workers=8,
        accelerate=False,
        random_state=None,
        device="auto",
    ):
        self.n_classes = n_classes
        self.teacher = teacher
        self.backbone = backbone
        self.pretrained = pretrained
        self.checkpoint = checkpoint
        self.image_size = image_size
        self.interpolation = interpolation
        self.teacher_views = teacher_views
        self.batch_size = batch_size
        self.lr = lr
        self.schedule = schedule
        self.passes = passes
        self.passes_over = passes_over
        self.final_passes = final_passes
        self.final_labels = final_labels
        self.replacement = replacement
        self.apart = apart
        self.alpha = alpha
        self.beta = beta
        self.eval_alpha = eval_alpha
        self.eval_beta = eval_beta
        self.distill_weight = distill_weight
        self.temperature = temperature
        self.n_workers = n_workers
        self.accelerate = accelerate
        self.random_state = random_state
        self.device = device

    def fit(self, X, y):
        """Train from the backbone's initial weights, on paths X and classes y, -1 where unknown."""
        self._check_params()
        y, seeds = np.asarray(y), np.random.RandomState(draw_seed(self.random_state))
        self.classes_ = np.arange(self.n_classes)
        self.teacher_, proba, view = None, None, None
        if self.teacher is not None:
            self.teacher_ = clone(self.teacher).fit(list(X), y)
            if self.teacher_views == "once":
                proba = self.teacher_.predict_proba(list(X))
            else:
                view = TeacherOnViews(self.teacher_)
        self.n_steps_ = self.count_steps(y)
        rows = ImageRows(
            X,
            train_view(self.image_size, self.interpolation),
            y,
            proba,
            distils=self.teacher is not None,
        )
        device = resolve_device(self.device)
        net = self._new_net(view, device)
        with seeded(draw_seed(seeds), device):
            net.fit(rows, None)
        net.teacher_view = None
        self.net_ = net
        return self

    def count_steps(self, y):
        """Count the training steps on labels y."""
        n_labeled = int((np.asarray(y) >= 0).sum())
        counted = n_labeled if self.passes_over == "labeled" else len(y) - n_labeled
        final = self.final_labels is not None and n_labeled >= self.final_labels
        return (self.final_passes if final else self.passes) * -(-counted // self.batch_size)

    def predict_proba(self, X):
        """Return what the strategies ask for, an array (n, n_classes)."""
        return self._mix(X, self.alpha, self.beta)

    def predict(self, X):
        """Return the class of each image, by the mixture of the evaluation."""
        return self.classes_[self._mix(X, self.eval_alpha, self.eval_beta).argmax(axis=1)]

    def embed(self, X):
        """Return the backbone's features, an array (n, d)."""
        return self._share(self.net_.embed, X)

    def _mix(self, X, alpha, beta):
        ce_logits, kd_logits = self._share(self.net_.forward, X)
        alpha = 1 if self.teacher is None else alpha
        return mix_heads(ce_logits, kd_logits, alpha, beta).numpy()

    def _share(self, forward, X):
        check_is_fitted(self, "net_")
        view = test_view(self.image_size)
        return forward_shared(
            lambda paths: forward(ImageRows(paths, view)), np.asarray(X), *self._processes()
        )

    def _processes(self):
        """Return the number of this process, and how many there are."""
        if not self.accelerate:
            return 0, 1
        from accelerate import PartialState

        return PartialState().process_index, PartialState().num_processes

    def _new_net(self, view, device):
        kind, extra = StudentNet, {"device": str(device)}
        if self.accelerate:
            from accelerate import Accelerator

            kind, extra = AcceleratedNet, {"device": None, "accelerator": Accelerator()}
        loader = partial(training_loader, n_steps=self.n_steps_, replacement=self.replacement)
        warmup = 0.1 if self.schedule == "linear" else 0.0
        return kind(
            partial(timm_backbone, self.backbone, self.pretrained, self.checkpoint),
            n_classes=self.n_classes,
            input_shape=(3, self.image_size, self.image_size),
            n_steps=self.n_steps_,
            teacher_view=view,
            apart=self.apart,
            max_epochs=1,
            lr=self.lr,
            batch_size=self.batch_size,
            criterion__distill_weight=self.distill_weight,
            criterion__temperature=self.temperature,
            callbacks__schedule=WarmupDecay(warmup, shape=self.schedule),
            iterator_train=loader,
            iterator_train__num_workers=self.n_workers,
            iterator_valid__num_workers=self.n_workers,
            **extra,
        )

    def _check_params(self):
        choices = {
            "teacher_views": ("augmented", "once"),
            "schedule": ("linear", "cosine"),
            "passes_over": ("labeled", "unlabeled"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {allowed}")
        if self.accelerate and self.apart and self._processes()[1] > 1:
            raise ValueError("several processes run both halves together: set apart=False")
