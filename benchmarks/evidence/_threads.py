"""Sums of one thread are the same on any number of cores, to the last digit."""

import torch
from joblib import parallel_config
from threadpoolctl import threadpool_limits


def use_one_thread():
    """Compute in one thread from now on, here and in each worker process."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    parallel_config(backend="loky", inner_max_num_threads=1)
