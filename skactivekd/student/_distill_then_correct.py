"""The default student: distilled from the teacher once, then corrected by the labels."""

import numbers

import numpy as np

from .._devices_and_seeds import draw_seed, fewer_threads, seeded
from . import _distillation
from ._correction_penalty import PENALTIES, choose_residual, plan_folds
from ._image_files import naming_all
from ._label_correction import fit_residual
from ._net_settings import device_of
from ._reuse_distilled import identify, memory


class Correction:
    """The part of `DHOClassifier` for "residual" heads."""

    def _fit_residual(self, rows, lesson, keep, further):
        """Distill, or find what was distilled; then let the labels correct it."""
        seed = draw_seed(self._seeds)
        with naming_all(rows.X):
            distilled = self._distill(rows, seed, keep, further)
        with fewer_threads():
            residual = self._find_correction(distilled, rows.X, lesson, seed, further)
        if residual is not None:
            _distillation.set_correction(distilled, residual, further)
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
        rows.X = net._show(rows.X)
        if rows.teacher_proba is not None:
            with seeded(seed, device_of(net)):
                (net.partial_fit if keep else net.fit)(rows, None)
        distilled = _distillation.survey(net, rows, linear=not further)
        memory.put(key, distilled)
        return distilled

    def _find_correction(self, distilled, X, lesson, seed, further):
        """Return the correction that the labels ask for, None where they ask for none."""
        codes, label_weight = lesson.codes, lesson.label_weight
        labeled = np.flatnonzero(codes >= 0)
        if self.distill_weight == 1:
            distilled.net.module_.heads.reset_correction()
        if self.distill_weight == 1 or not (len(labeled) or further):
            self.distill_weight_ = 1.0
        if self.distill_weight == 1 or not len(labeled):
            return None
        anchors, anchored = _distillation.stand_ins(distilled, codes)
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
        logits, features = _distillation.correction_features(distilled, X, picked, further)
        if self.distill_weight == "auto":
            residual, shares = choose_residual(features, logits, targets, fit_weight, test_weight)
            follow = np.array([1.0, *(penalty / (1 + penalty) for penalty in PENALTIES)])
            self.distill_weight_ = float(shares @ follow)
            return residual
        self.distill_weight_ = float(self.distill_weight)
        penalty = self.distill_weight / (1 - self.distill_weight)
        return fit_residual(features, logits, targets, penalty, fit_weight[:, 0])
