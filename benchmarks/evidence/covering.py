"""Strategies of scikit-activeml that cover the pool, on features of unit length."""

from skactiveml.pool import ProbCover, TypiClust

from skactivekd.query import FromSkactiveml
from skactivekd.query._strategies import unit_rows


class OnUnitFeatures(FromSkactiveml):
    """A strategy of scikit-activeml on features of unit length.

    Their authors scale features so, and the radii `ProbCover` tries are made for it.
    """

    def select(self, features_pool, features_labeled=None, n_instances=1, **known):
        if features_labeled is not None:
            features_labeled = unit_rows(features_labeled)
        return super().select(unit_rows(features_pool), features_labeled, n_instances, **known)


def typiclust():
    """Typical samples of the clusters without a label; five nearest neighbours."""
    return OnUnitFeatures(TypiClust())


def probcover():
    """Samples whose balls cover most of what no label covers; classes counted from the labels."""
    return OnUnitFeatures(ProbCover())
