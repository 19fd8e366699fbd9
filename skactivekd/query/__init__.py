"""Query strategies: which samples a person should label next.

Every strategy has three calls: ``select`` for arrays, ``query`` for a fitted
estimator and a y that marks the unlabeled rows, and the call modAL makes.
"""

from ._badge import Badge
from ._base import QueryStrategy
from ._class_balanced import ClassBalanced
from ._from_skactiveml import FromSkactiveml
from ._k_center import k_center_greedy
from ._pcoreset import CoreSet, PCoreSet
from ._random import Random
from ._to_skactiveml import to_skactiveml
from ._uncertainty import Entropy, LeastConfidence, Margin
from ._uncertainty_herding import UncertaintyHerding

__all__ = [
    "Badge",
    "ClassBalanced",
    "CoreSet",
    "Entropy",
    "FromSkactiveml",
    "LeastConfidence",
    "Margin",
    "PCoreSet",
    "QueryStrategy",
    "Random",
    "UncertaintyHerding",
    "k_center_greedy",
    "to_skactiveml",
]
