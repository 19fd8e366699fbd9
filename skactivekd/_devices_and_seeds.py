"""Device choice and seeding, without a trace in torch's global state."""

import collections
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

_SMALL = 10**8  # weights times pixels, a bound on the multiplications per row
_lock = threading.RLock()
_dtype_lock, _dtype_users, _users_dtype = threading.Lock(), 0, None


def _renew_lock():
    """Give a forked process locks of its own: the thread that held the old ones is not there."""
    global _lock, _dtype_lock
    _lock, _dtype_lock = threading.RLock(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def alone():
    """Let one thread at a time into a block that touches torch's process-wide state.

    torch's generators and its number of threads belong to the process, so two
    blocks that set them side by side would take them from each other. The same
    thread may enter again.

    Examples
    --------
    >>> from skactivekd._devices_and_seeds import alone
    >>> with alone(), alone():
    ...     print("one thread, twice")
    one thread, twice
    """
    with _lock:
        yield


@contextmanager
def own_settings():
    """Compute a block as torch does by default, whatever the caller has set; also a decorator.

    Default dtype and device, inference mode, `no_grad` and autocast are
    settings for the caller's own tensors. Ours are float32, on the device of
    our parameters, and train where they have to; so the same call gives the
    same numbers under all of them. What was set is found again afterwards.
    ``use_deterministic_algorithms`` stays: it asks for nothing else.

    Examples
    --------
    >>> import torch
    >>> from skactivekd._devices_and_seeds import own_settings
    >>> with torch.inference_mode(), own_settings():
    ...     torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    (False, True)
    """
    with ExitStack() as stack:
        stack.enter_context(_single_precision())
        # torch 2.9's get_default_device raises once somebody has set none.
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def _single_precision():
    """Make float32 the default dtype, which belongs to the process, until the last block ends."""
    global _dtype_users, _users_dtype
    with _dtype_lock:
        if not _dtype_users:
            _users_dtype = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _dtype_users += 1
    try:
        yield
    finally:
        with _dtype_lock:
            _dtype_users -= 1
            if not _dtype_users:
                torch.set_default_dtype(_users_dtype)


def resolve_device(device="auto"):
    """Turn a device setting into a `torch.device`.

    Parameters
    ----------
    device : {"auto"}, str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's MPS, then the CPU.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If there is no such device.

    Examples
    --------
    >>> from skactivekd._devices_and_seeds import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if not (isinstance(device, str) and device == "auto"):
        try:
            found = torch.device(device)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"device must be 'auto' or a device of torch, got {device!r}."
            ) from error
        if found.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device={device!r}, but torch finds no CUDA device. Use 'auto'.")
        return found
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def draw_seed(random_state=None):
    """Draw one integer seed from what scikit-learn calls a random state.

    Parameters
    ----------
    random_state : None, int or numpy.random.RandomState, default=None
        None takes entropy from the operating system: numpy's global
        generator is neither read nor moved.

    Returns
    -------
    seed : int
        In [0, 2**31).

    Raises
    ------
    ValueError
        If `random_state` is none of these.

    Examples
    --------
    >>> from skactivekd._devices_and_seeds import draw_seed
    >>> draw_seed(0) == draw_seed(0)
    True
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    from sklearn.utils import check_random_state

    from .utils._check_params import naming

    with naming("random_state"):
        return int(check_random_state(random_state).randint(2**31 - 1))


def check_tensor(values, name, shape, integer=False):
    """Refuse what is no dense tensor of numbers of a shape.

    Parameters
    ----------
    values : tensor
    name : str
        For the error.
    shape : tuple of int or None
        None is any size.
    integer : bool, default=False
        Whether it holds integers; otherwise real numbers with a fraction.

    Raises
    ------
    TypeError
        If it is no tensor, or of another type.
    ValueError
        If it has another shape.
    """
    kind = "integers" if integer else "floats"
    if not torch.is_tensor(values) or values.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor of {kind}, got {type(values).__name__}.")
    if values.device.type == "meta":
        raise TypeError(f"{name} is a tensor on the device meta, which holds no numbers.")
    integral = not (values.is_floating_point() or values.is_complex())
    if values.is_complex() or values.dtype == torch.bool or integral != integer:
        raise TypeError(f"{name} must be a tensor of {kind}, got {values.dtype}.")
    found = tuple(values.shape)
    fits = len(found) == len(shape) and all(
        wanted is None or size == wanted for size, wanted in zip(found, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {found}.")


def check_targets(targets, name, n, n_classes):
    """Refuse classes of rows that are no tensor of n integers below n_classes."""
    check_tensor(targets, name, (n,), integer=True)
    if n and int(targets.max()) >= n_classes:
        raise ValueError(f"{name} must be below the {n_classes} classes, got {int(targets.max())}.")


@contextmanager
def seeded(seed, device):
    """Seed torch inside a block and put its generators back afterwards.

    Blocks of several threads follow one another, so that each draws what it
    would draw alone.
    """
    devices = [device] if device.type == "cuda" else []
    with alone(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def threads_apart(device):
    """Run calls side by side, each on one thread.

    A chain of small operations, some of them numpy's, then keeps every core
    busy, and no thread waits for another in the middle of an operation.

    Parameters
    ----------
    device : torch.device
        Anywhere but on the CPU, calls follow one another.

    Yields
    ------
    run : callable
        ``run(function, items)`` calls the function for each item, as many at
        a time as torch has threads; each writes where no other does.
    """
    with alone():
        n_threads = torch.get_num_threads()
    if device.type != "cpu" or n_threads == 1:
        yield run_in_turn
        return
    with alone():
        torch.set_num_threads(1)  # threads that start now have one too
        try:
            with ThreadPoolExecutor(n_threads) as pool:
                yield lambda function, items: collections.deque(pool.map(function, items), maxlen=0)
        finally:
            torch.set_num_threads(n_threads)


def run_in_turn(function, items):
    """Call the function for each item."""
    for item in items:
        function(item)


def is_small(module, input_shape):
    """Tell whether a second thread would gain nothing on batches of a network's rows."""
    n_weights = sum(weight.numel() for weight in module.parameters())
    return n_weights * math.prod(input_shape[1:]) < _SMALL


@contextmanager
def fewer_threads(small=True):
    """Compute what is small on one thread, and put the thread count back.

    A second thread gains nothing there, and loses much where another process
    wants the core it waits for.
    """
    if not small:
        yield
        return
    with alone():
        n_threads = torch.get_num_threads()
        if n_threads == 1:
            yield
            return
        # torch keeps a count for each thread, and one more for threads that start later. Only
        # the first is meant here, but torch sets both, so that a new thread puts back the other.
        for_others = _in_new_thread(torch.get_num_threads)
        torch.set_num_threads(1)
        _in_new_thread(torch.set_num_threads, for_others)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)
            _in_new_thread(torch.set_num_threads, for_others)


def _in_new_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()
