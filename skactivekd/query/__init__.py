"""Query strategies: which samples a person should label next.

Every strategy has three calls: ``select`` for arrays, ``query`` for a fitted
estimator and a y that marks the unlabelled rows, and the call modAL makes.
"""

from ._base import QueryStrategy
from ._k_center import k_center_greedy
from ._strategies import CoreSet, PCoreSet, Random
from ._uncertainty import Entropy, Margin

__all__ = [
    "CoreSet",
    "Entropy",
    "Margin",
    "PCoreSet",
    "QueryStrategy",
    "Random",
    "k_center_greedy",
]
