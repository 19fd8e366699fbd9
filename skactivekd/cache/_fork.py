"""Forked processes: what a cache must do so that parent and child do not harm each other."""

import os
import threading
import weakref

_CACHES = weakref.WeakSet()
_FORKING = []


def follow_forks(cache):
    """Let a cache, its stores and its lock survive the forks of this process."""
    _CACHES.add(cache)


def _before_fork():
    _FORKING[:] = [store for cache in list(_CACHES) for store in cache._stores()]
    for store in _FORKING:
        store.before_fork()


def _after_fork_in_parent():
    while _FORKING:
        _FORKING.pop().after_fork_in_parent()


def _after_fork_in_child():
    while _FORKING:
        _FORKING.pop().after_fork_in_child()
    for cache in _CACHES:  # a thread that is not in the child may have held it
        cache._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
