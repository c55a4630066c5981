"""Estimators that tests send to workers, which import them from here."""

import os
import signal
import threading

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

_meeting = threading.Barrier(2)


class Projection(TransformerMixin, BaseEstimator):
    """Three numbers of each spectrum; notes which spectra it saw, and can be made to fail.

    Parameters
    ----------
    log : str
        File that gets a line for each call: process, first value of the first and the last row.
    kill : {"worker", "client"}, optional
        What is killed in the call that sees `at`, but once only: the process that computes, or the
        one whose number is in the file `log` with ``.client`` added.
    at : float
        First value of a row.
    error : str, optional
        "divide" fails at once.
    """

    def __init__(self, log, kill=None, at=None, error=None):
        self.log = log
        self.kill = kill
        self.at = at
        self.error = error

    def fit(self, X, y=None):
        self.weights_ = np.linspace(-1.0, 1.0, 3 * X.shape[1]).reshape(-1, 3).astype(np.float32)
        return self

    def transform(self, X):
        flux = X.to_numpy()
        add_line(self.log, f"{os.getpid()} {len(flux)} {flux[0, 0]!r}")
        if self.error == "divide":
            return 1 // 0
        if self.kill is not None and self.at in flux[:, 0]:
            self._kill_once()
        # Row by row, so that the block does not decide how sums are rounded.
        return np.stack([(row[:, None] * self.weights_).sum(axis=0) for row in flux])

    def predict(self, X):
        return self.transform(X)[:, 0].astype(np.float64)

    def count(self, X):
        return np.full(len(X.to_numpy()), 7)

    def alone(self, X):
        """Whether no other thread of this process is in this method for a while."""
        try:
            _meeting.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            _meeting.reset()
            return np.ones(len(X))
        return np.zeros(len(X))

    def uneven(self, X):
        return np.zeros((len(X), 1 + (self.at in X.to_numpy()[:, 0])))

    def pair(self, X):
        return self.transform(X), self.transform(X)

    def _kill_once(self):
        try:
            os.close(os.open(f"{self.log}.killed", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if self.kill == "worker":
            os.kill(os.getpid(), signal.SIGKILL)
        (client,) = lines_of(f"{self.log}.client")
        os.kill(int(client), signal.SIGKILL)


class NotesLoading(Projection):
    """Notes each time that it comes out of a pickle."""

    def __setstate__(self, state):
        super().__setstate__(state)
        add_line(f"{self.log}.loaded", str(os.getpid()))


class KillsItself(TransformerMixin, BaseEstimator):
    """Step of a pipeline that changes nothing; the first fit anywhere kills its process."""

    def __init__(self, marker=None):
        self.marker = marker

    def fit(self, X, y=None):
        if self.marker is not None:
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


def add_line(path, line):
    with open(path, "a") as file:
        file.write(line + "\n")


def lines_of(path):
    try:
        with open(path) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []
