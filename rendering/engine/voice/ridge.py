"""Kernel ridge regression from the sound's context to the mouth, with blocked cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_factor, cho_solve

GAMMA, PENALTY = 1.0, 1.0
MAX_FRAMES = 3000


@dataclass(frozen=True)
class Ridge:
    """``predict`` of (n, d) contexts -> (n, k). ``centres`` (m, d), ``weights`` (m, k), ``mean`` (k,), float32."""

    centres: np.ndarray
    weights: np.ndarray
    mean: np.ndarray

    def predict(self, around: np.ndarray) -> np.ndarray:
        parts = [
            _kernel(around[start : start + 2000], self.centres) @ self.weights for start in range(0, len(around), 2000)
        ]
        return (np.concatenate(parts) + self.mean).astype(np.float32) if parts else np.zeros((0, len(self.mean)))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Gaussian kernel of the mean squared difference per dimension, (len(a), len(b)) float32."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * (a @ b.T)
    return np.exp(-GAMMA / a.shape[1] * np.maximum(squared, 0)).astype(np.float32)


def _solve(kernel: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = target.mean(0)
    factor = cho_factor(kernel + PENALTY * np.eye(len(kernel), dtype=np.float32), check_finite=False)
    return cho_solve(factor, target - mean, check_finite=False).astype(np.float32), mean.astype(np.float32)


def fit(around: np.ndarray, target: np.ndarray) -> Ridge:
    """Learn (n, d) contexts -> (n, k) targets from all the frames given."""
    weights, mean = _solve(_kernel(around, around), target)
    return Ridge(around.astype(np.float32), weights, mean)


def blocks(n: int, folds: int, gap: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) indices of ``folds`` contiguous blocks; ``gap`` frames beside each are left out of training."""
    edges = np.linspace(0, n, folds + 1).astype(int)
    return [
        (np.r_[0 : max(0, start - gap), min(n, stop + gap) : n], np.arange(start, stop))
        for start, stop in pairwise(edges.tolist())
    ]


def cross_predict(around: np.ndarray, target: np.ndarray, *, folds: int = 5, gap: int = 10) -> np.ndarray:
    """What the regression says of each frame (n, k) when that frame's block was not learnt from."""
    kernel = _kernel(around, around)
    answers = np.zeros((len(target), target.shape[1]), np.float32)
    for train, test in blocks(len(target), folds, gap):
        weights, mean = _solve(kernel[np.ix_(train, train)], target[train])
        answers[test] = kernel[np.ix_(test, train)] @ weights + mean
    return answers


def block_scores(answers: np.ndarray, truth: np.ndarray, *, folds: int = 5) -> np.ndarray:
    """Pearson's r per column, averaged over the blocks (a slow drift between blocks is neither merit nor fault)."""
    scores = []
    for _, test in blocks(len(truth), folds, 0):
        a, b = answers[test] - answers[test].mean(0), truth[test] - truth[test].mean(0)
        scores.append((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0) + 1e-12))
    return np.mean(scores, axis=0)
