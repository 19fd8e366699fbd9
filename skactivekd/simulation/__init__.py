"""Active learning played through on data whose labels are known, and what it was worth."""

from ._make_value_report import value_report
from ._simulate import simulate
from ._value_report import ValueReport

__all__ = ["ValueReport", "simulate", "value_report"]
