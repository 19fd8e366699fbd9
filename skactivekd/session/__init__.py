"""Labeling by persons: what to ask, what they said, how good the student is by now."""

from ._question import Question
from ._session import LabelingSession

__all__ = ["LabelingSession", "Question"]
