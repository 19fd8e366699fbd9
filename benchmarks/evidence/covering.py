"""Strategies of scikit-activeml that cover the pool, on features of unit length."""

from dataclasses import replace

from skactiveml.pool import ProbCover, TypiClust

from skactivekd.query import FromSkactiveml
from skactivekd.query._pcoreset import unit_rows


class OnUnitFeatures(FromSkactiveml):
    """A strategy of scikit-activeml on features of unit length.

    Their authors scale features so, and the radii `ProbCover` tries are made for it.
    """

    def _pick(self, views, n_instances):
        unit = {
            name: unit_rows(getattr(views, name)) for name in ("features_pool", "features_labeled")
        }
        return super()._pick(replace(views, **unit), n_instances)


def typiclust():
    """Typical samples of the clusters without a label; five nearest neighbors."""
    return OnUnitFeatures(TypiClust())


def probcover():
    """Samples whose balls cover most of what no label covers; classes counted from the labels."""
    return OnUnitFeatures(ProbCover())
