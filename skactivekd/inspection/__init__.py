"""What a teacher or a student is worth, as far as labels and predictions tell."""

from ._clusters import prediction_clusters
from ._report import TeacherReport
from ._teacher_report import teacher_report

__all__ = ["TeacherReport", "prediction_clusters", "teacher_report"]
