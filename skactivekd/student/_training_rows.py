"""What a fit learns from: rows, labels, teacher and weights."""

from dataclasses import dataclass

import numpy as np

from .._devices_and_seeds import draw_seed
from ..utils._classes import check_classes, refuse_learned_marker
from ..utils._labels import check_labels, encode_labels, find_classes
from ..utils._matrix import as_ndarray
from ..utils._proba import check_proba
from ..utils._sample_weight import check_weights
from ._class_weight import weigh_labels
from ._dataset import RowDataset
from ._heads import ResidualHeads
from ._image_files import Pictures, watching
from ._input import unpack
from ._soft_labels import SoftLabeled
from ._teacher_columns import resolve_classes


@dataclass
class Lesson:
    """What a fit learns from, checked: rows, labels as places among the classes, the teacher."""

    X: object
    codes: np.ndarray
    classes: np.ndarray
    declared: object
    teacher_proba: np.ndarray | None
    columns: np.ndarray | None
    sample_weight: np.ndarray | None
    asked: object  # the teacher, where it is to see each view of training
    label_weight: np.ndarray | None = None

    @property
    def has_labels(self):
        """Whether any row is labeled."""
        return bool((self.codes >= 0).any())

    @property
    def has_teacher(self):
        """Whether there is a teacher that counts."""
        return self.teacher_proba is not None

    def weigh_labels(self, class_weight, classes):
        """Find the weight of each label; rows without any count as unlabeled."""
        self.label_weight = weigh_labels(class_weight, classes, self.codes, self.sample_weight)
        if self.label_weight is not None:
            self.codes[self.label_weight == 0] = -1

    def rows(self, net):
        """Return the rows as a net is to learn them, from labels and teacher together."""
        return self._rows(net._show(self.X), self.codes, sample_weight=self.label_weight)

    def rows_without_labels(self):
        """Return the rows as a net is to learn them from the teacher alone."""
        return self._rows(self.X, None)

    def _rows(self, X, codes, **weights):
        if self.has_teacher:
            weights["teacher_weight"] = self.sample_weight
        rows = RowDataset(X, codes, self.teacher_proba, columns=self.columns, **weights)
        rows.teacher = self.asked
        return rows


class Teaching:
    """The part of `DHOClassifier` that learns."""

    def _learn(self, X, y, teacher_proba, sample_weight, keep, classes, on):
        """Learn a lesson: check what there is to learn from, then let the heads learn it."""
        lesson = self._take_in_lesson(X, y, teacher_proba, sample_weight, keep, classes)
        trained = self._find_trained_heads(lesson, keep)
        if not keep:
            self.classes_ = lesson.classes
            self._declared = lesson.declared or check_classes(lesson.classes, None)
            self._row_shape = lesson.X.shape[1:]
            self._seeds = np.random.RandomState(draw_seed(self.random_state))
            self._fitted_heads = self.heads
            self.trained_heads_ = ()
        lesson.weigh_labels(self.class_weight, self.classes_)
        with watching(lesson.X):
            if self._corrects(lesson, keep):
                self._fit_residual(lesson.rows_without_labels(), lesson, keep, on and keep)
            else:
                self._fit_heads(lesson, keep)
        self.trained_heads_ = tuple(
            head for head in ("ce", "kd") if head in {*self.trained_heads_, *trained}
        )
        self._note_teaching(lesson, keep)

    def _take_in_lesson(self, X, y, teacher_proba, sample_weight, keep, classes):
        """Return what was passed to ``fit``, checked; labels as places among the classes."""
        asked = X.teacher if isinstance(X, SoftLabeled) else None
        X, teacher_proba, teacher_classes, exact = unpack(X, teacher_proba)
        X = self._take_in(X) if keep else self._take_in_new(X)
        declared = self._declare(classes, keep)
        known = teacher_classes if declared is None else declared.labels
        refuse_learned_marker(teacher_classes, self.missing_label, "The teacher")
        y, labeled = check_labels(y, self.missing_label, classes=known, n_rows=X.shape[0])
        sample_weight = check_weights(sample_weight, len(y))
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
        if self._loss_weight() == 0:
            teacher_proba = columns = asked = None
        return Lesson(X, codes, found, declared, teacher_proba, columns, sample_weight, asked)

    def _find_trained_heads(self, lesson, keep):
        """Return the heads that a lesson trains, or say why there is nothing to learn."""
        has_labels = lesson.has_labels
        if not (keep and isinstance(self.net_.module_.heads, ResidualHeads)):
            return self._trained_heads(has_labels, lesson.has_teacher)
        weight = self._loss_weight()
        self._check_teacher_stays(weight)
        if not lesson.has_teacher:
            self._trained_heads(has_labels, False)
        return ("ce",) if has_labels and weight < 1 else ()

    def _corrects(self, lesson, keep):
        """Tell whether the labels correct a teacher's head."""
        if keep:
            return isinstance(self.net_.module_.heads, ResidualHeads)
        return self.heads == "residual" and lesson.has_teacher

    def _fit_heads(self, lesson, keep):
        """Train a net on labels and teacher together."""
        weight = self._loss_weight()
        if keep:
            self._check_no_teacher_comes(lesson.has_teacher)
            net = self.net_
            net.criterion_.distill_weight = weight
            net.criterion_.temperature = self.temperature
        else:
            net = self._new_net(lesson.X, lesson.has_teacher)
            self._scale_inputs(net, lesson.X, lesson.sample_weight)
        self._fit_net(net, lesson.rows(net), keep)
        self.net_ = net
        self.distill_weight_ = float(weight) if lesson.has_teacher else 0.0

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

    def _loss_weight(self):
        """Return the weight of the teacher in the loss of the network."""
        return 0.5 if self.distill_weight == "auto" else self.distill_weight

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

    def _note_teaching(self, lesson, keep):
        """Count what was learned from, for the model card."""
        codes = lesson.codes
        labels = np.bincount(codes[codes >= 0], minlength=len(self.classes_))
        before = self._taught_by if keep else {"rows": 0, "labels": 0 * labels, "calls": 0}
        self._taught_by = {
            "rows": before["rows"] + len(codes),
            "labels": (labels + before["labels"]).tolist(),
            "teacher": lesson.has_teacher or before.get("teacher", False),
            "calls": before["calls"] + 1,
        }
