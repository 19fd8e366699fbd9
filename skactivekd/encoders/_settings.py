"""Settings that every encoder has."""

import numbers


def check_batch_size(batch_size):
    """Raise unless the setting is a positive int."""
    if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} must be an int of at least 1")


def check_on_error(on_error):
    """Raise unless the setting is one of the two."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'")


def count_workers(n_workers, wanted):
    """Number of threads: as set, or one for each core if they are wanted, at most 8."""
    if n_workers is None:
        from joblib import cpu_count

        return min(8, cpu_count()) if wanted else 0
    if not isinstance(n_workers, numbers.Integral) or n_workers < 0:
        raise ValueError(f"n_workers={n_workers!r} must be None or an int of at least 0")
    return n_workers
