"""A bar for training, which counts the steps of the optimizer."""

import math
import threading
from contextlib import contextmanager

from torch.optim.optimizer import register_optimizer_step_post_hook

from ._progress import progress


@contextmanager
def training_bar(n_rows, n_labels, has_teacher):
    """Show how long training still takes.

    Parameters
    ----------
    n_rows, n_labels : int
    has_teacher : bool
        Without one an epoch is a pass over the labels.
    """
    if has_teacher:
        total = max(1000, 20 * math.ceil(n_rows / 128))
    else:
        total = 200 * math.ceil(max(n_labels, 1) / 64)
    here = threading.get_ident()
    with progress("Training the student", total, "steps") as bar:

        def step(optimizer, *_):
            if threading.get_ident() == here and type(optimizer).__name__ != "LBFGS":
                bar.update(1)

        hook = register_optimizer_step_post_hook(step)
        try:
            yield
        finally:
            hook.remove()


@contextmanager
def measuring_bar(session):
    """Count the trainings that the figures of a session take.

    Parameters
    ----------
    session : LabelingSession
    """
    figures = session._figures
    with progress("Measuring the accuracy", None, "trainings") as bar:
        bar.update(0)
        before, figures.tick = figures.tick, lambda: bar.update(1)
        try:
            yield
        finally:
            figures.tick = before
