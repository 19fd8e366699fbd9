"""Active learning played through on data whose labels are known, and what it was worth."""

from ._simulate import simulate
from ._value import value_report
from ._value_report import ValueReport

__all__ = ["ValueReport", "simulate", "value_report"]
