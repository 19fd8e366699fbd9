"""How far probabilities can be believed, and curves of accuracy against labels."""

from ._curves import area_under_curve, labels_to_reach
from ._ranks import rank_table
from ._reliability import expected_calibration_error, reliability_curve
from ._temperature_scaling import best_logit_scale, best_temperature

__all__ = [
    "area_under_curve",
    "best_logit_scale",
    "best_temperature",
    "expected_calibration_error",
    "labels_to_reach",
    "rank_table",
    "reliability_curve",
]
