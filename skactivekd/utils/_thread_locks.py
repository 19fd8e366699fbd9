"""Locks between threads that a fork does not leave locked."""

import os
import threading


class Locks:
    """Locks of this process, new in each fork, where the thread that held one is not.

    There are so many that two objects seldom share one.
    """

    def __init__(self, n=64):
        self.n = n
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self):
        self._locks = [threading.RLock() for _ in range(self.n)]

    def of(self, thing):
        """Return the lock of an object."""
        return self._locks[(id(thing) >> 4) % self.n]  # an address is a multiple of 16
