"""What a teacher or a student is worth, as far as labels and predictions tell."""

from ._prediction_clusters import prediction_clusters
from ._teacher_report import TeacherReport, teacher_report

__all__ = ["TeacherReport", "prediction_clusters", "teacher_report"]
