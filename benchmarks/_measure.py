"""Time and memory of a call, measured so that another machine's figures are comparable."""

import ctypes
import resource
import threading
import time


class Memory:
    """Peak of this process's own memory (no mapped files) over that at the start, in MiB."""

    def __enter__(self):
        ctypes.CDLL(None).malloc_trim(0)  # what is free already must not count as the start
        self.start = self.peak = _anonymous()
        self.running = True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        while self.running:
            self.peak = max(self.peak, _anonymous())
            time.sleep(0.01)

    def __exit__(self, *_):
        self.running = False
        self.thread.join()
        self.growth = max(self.peak, _anonymous()) - self.start


def _anonymous():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def peak_of_process():
    """Most memory this process ever had, mapped files included, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(function):
    """Run once; return the seconds taken."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def paired(functions, n_repeats=3, budget=0.0):
    """Time several functions in turn; return the least seconds of each, by name."""
    best = dict.fromkeys(functions, float("inf"))
    began, repeats = time.perf_counter(), 0
    while repeats < n_repeats or time.perf_counter() - began < budget:
        for name, function in functions.items():
            best[name] = min(best[name], seconds(function))
        repeats += 1
    return best
