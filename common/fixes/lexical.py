"""Words shared by a query and what is known in words of an image, for re-ranking the first candidates.

What is known of an image is either what other people wrote of it, or what CLIP itself finds near it in a bank
of captions of other images. The first is an oracle: four human captions describe the target. And it leaks as
soon as the query caption itself is among them (R@1 is then above 90 % by words alone), so that
caption and every copy of its text are left out of each image's words, of document frequencies too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import regex

from common.heavy import sklearn_text, torch
from common.heavy import sparse as sp
from common.retrieval.coco import normalized, one_form

# A word is a run of letters and digits with the marks on them. Scripts that don't space their words (those
# that Unicode's line breaking calls SA: Thai, Lao, Khmer, Myanmar ...; Chinese characters and kana) are read
# by pairs of characters, as search engines do without a dictionary (Lucene's CJKBigramFilter).
LETTER = r"[\p{L}\p{N}_]"
UNSPACED = r"[\p{LB=SA}\p{scx=Han}\p{scx=Hira}\p{scx=Kana}]"
RUN = regex.compile(
    rf"(?P<unspaced>(?:[{LETTER}&&{UNSPACED}]\p{{M}}*)+)|(?:[{LETTER}--{UNSPACED}]\p{{M}}*)+", regex.V1
)
CHARACTER = regex.compile(r"\P{M}\p{M}*")  # with its marks
PLAIN = re.compile(r"\w+", re.ASCII)  # what all of it comes to for ASCII, many times as fast
UNSEEN = dict.fromkeys([0xAD, 0x200C, 0x200D, *range(0xFE00, 0xFE10)])  # soft hyphen, joiners, variants
BLOCK = 256  # images at once while the nearest captions of a bank are looked up


@dataclass(frozen=True)
class Lexical:
    """Lexical scores of every query and image, kept as factors. Values between 0 and 1.

    score(q, v) = query[q] . document[:, v], except for the pairs that `own` holds: images whose words would
    contain the query caption or a copy of it, and whose score was computed without those.
    """

    query: sp.csr_array  # (n_queries, n_words)
    document: sp.csr_array  # (n_words, n_images)
    own: sp.csr_array  # (n_queries, n_images), explicit zeros included

    def block(self, queries: np.ndarray) -> np.ndarray:
        """Scores of some queries with all images: (len(queries), n_images) float64."""
        scores = (self.query[queries] @ self.document).toarray()
        own = self.own[queries]
        scores[np.repeat(np.arange(len(queries)), np.diff(own.indptr)), own.indices] = own.data
        return scores


def words(text: str) -> list[str]:
    """The words of a caption, in lower case and one Unicode form.

    A dog_2's    a, dog_2, s
    一只狗        一只, 只狗
    """
    text = text.lower()
    if text.isascii():
        return PLAIN.findall(text)
    found = []
    for run in RUN.finditer(one_form(text.translate(UNSEEN))):
        characters = CHARACTER.findall(run[0]) if run["unspaced"] else []
        pairs = [first + second for first, second in itertools.pairwise(characters)]
        found += pairs or [run[0]]
    return found


def tfidf(captions: Sequence[str], gt_img_index: np.ndarray, n_images: int) -> Lexical:
    """TF-IDF cosine between a query and all *other* captions of an image, as one document. An oracle.

    Weights `lnc.ltc` (Manning, Raghavan and Schuetze 2008, sect. 6.4.3): a document's term frequencies are
    log-scaled and of length 1; idf stands on the query's side alone, so that it too can be counted without
    the query caption.
    """
    counts, weights, pairs = _leave_one_out(captions, gt_img_index, n_images)
    return _assembled(weights, _unit(_log(counts)), pairs, _unit(_log(pairs.documents)))


def overlap(captions: Sequence[str], gt_img_index: np.ndarray, n_images: int) -> Lexical:
    """Share of the query's distinct words that occur in *other* captions of an image. An oracle."""
    counts, weights, pairs = _leave_one_out(captions, gt_img_index, n_images)
    present = sp.csr_array((np.ones(weights.nnz), weights.indices, weights.indptr), shape=weights.shape)
    share = _scaled(present, np.diff(present.indptr))
    return _assembled(share, _binary(counts), pairs, _binary(pairs.documents))


def clip_words(
    captions: Sequence[str], img: torch.Tensor, bank: torch.Tensor, bank_captions: Sequence[str], k: int
) -> Lexical:
    """TF-IDF cosine between a query and the words of the bank captions that CLIP finds nearest to an image.

    No human text of the gallery takes part. img (n_images, dim) and bank (n_bank, dim): rows of length 1.
    Words and document frequencies are the bank's; weights as in `tfidf`.
    """
    vectorizer = _counter()
    of_bank = _binary(sp.csr_array(vectorizer.fit_transform(bank_captions)))
    nearest, columns = [], bank.double().T
    for start in range(0, len(img), BLOCK):
        scores = img[start : start + BLOCK].double() @ columns
        nearest.append(scores.topk(min(k, len(bank)), dim=1).indices)
    nearest = torch.cat(nearest).numpy()  # (n_images, k)
    chosen = sp.csr_array(
        (np.ones(nearest.size), nearest.ravel(), np.arange(0, nearest.size + 1, nearest.shape[1])),
        shape=(len(img), len(bank)),
    )
    document = _unit(_log(sp.csr_array(chosen @ of_bank)))
    frequency = np.asarray(of_bank.sum(0)).ravel()
    idf = np.log((len(bank) + 1) / (frequency + 1))
    query = _log(sp.csr_array(vectorizer.transform(captions)))
    query.data *= idf[query.indices]
    return Lexical(_unit(query), document.T.tocsr(), sp.csr_array((len(captions), len(img))))


def candidates(scores: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first n images of each query: (image rows, whether they are candidates), each (n_queries, c).

    Rows ascend. Images that tie with a query's last candidate are candidates too, so that the order of images
    doesn't matter; c is the largest number of candidates, and other queries have some rows that are none.
    """
    n = min(n, scores.shape[1])
    # Several times as fast as topk, which orders what it finds.
    least = np.partition(scores.numpy(), scores.shape[1] - n, axis=1)[:, scores.shape[1] - n, None]
    chosen = scores.numpy() >= least
    most = int(np.count_nonzero(chosen, axis=1).max(initial=n))
    if most == n:
        places = torch.from_numpy(np.nonzero(chosen)[1].reshape(-1, n))
        return places, torch.ones_like(places, dtype=torch.bool)
    places = scores.topk(most, dim=1).indices.sort(1).values
    return places, scores.gather(1, places) >= torch.from_numpy(least)


def rerank(
    scores: torch.Tensor, values: torch.Tensor, places: torch.Tensor, chosen: torch.Tensor, weight: float
) -> torch.Tensor:
    """Order the candidates of each query again: standardized score + weight x standardized lexical score.

    scores (n, n_images); values, places and chosen (n, c): lexical scores, image rows, whether they are
    candidates. Both are standardized over the query's candidates, since the spread of cosines differs from
    model to model. The other images keep their order, behind the candidates.
    """
    first = First.of(scores, places, chosen)
    return scores.scatter(1, places, torch.where(chosen, first.mixed(values, weight), first.old))


class First(NamedTuple):
    """The candidates of some queries, as `candidates` gives them, with what their scores are worth."""

    places: torch.Tensor  # (n, c) int64: image rows
    chosen: torch.Tensor  # (n, c) bool: whether they are candidates
    old: torch.Tensor  # (n, c) float64: scores
    standard: torch.Tensor  # (n, c) float64: the same, standardized
    best: torch.Tensor  # (n, 1) float64: the highest score

    @classmethod
    def of(cls, scores: torch.Tensor, places: torch.Tensor, chosen: torch.Tensor) -> First:
        """scores (n, n_images) float64."""
        old = scores.gather(1, places)
        return cls(places, chosen, old, _standardized(old, chosen), scores.amax(1, keepdim=True))

    def mixed(self, values: torch.Tensor, weight: float) -> torch.Tensor:
        """Candidates' new scores by lexical ones (n, c), ahead of all other images: (n, c) float64."""
        mixed = self.standard + weight * _standardized(values, self.chosen)
        lowest = mixed.masked_fill(~self.chosen, torch.inf).amin(1, keepdim=True)
        return mixed + (self.best - lowest + 1.0)

    def ranks(self, mixed: torch.Tensor, own: torch.Tensor, before: np.ndarray) -> np.ndarray:
        """Ranks of positives, (n,) int64 as in `ranking.rank`, once candidates have the scores `mixed`.

        own (n,): the positives' image rows. before (n,): ranks by the old scores, which those keep that are
        no candidates.
        """
        mixed, is_own = mixed.float(), self.chosen & (self.places == own[:, None])
        among = mixed.gather(1, is_own.byte().argmax(1, keepdim=True))
        at_least = ((mixed >= among) & self.chosen).sum(1)
        return np.where(is_own.any(1).numpy(), at_least.numpy(), before)


def _standardized(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean 0 and standard deviation 1 over the chosen of each row; all 0 where they don't differ."""
    n = chosen.sum(1, keepdim=True)
    mean = (values * chosen).sum(1, keepdim=True) / n
    centered = values - mean
    spread = ((centered**2 * chosen).sum(1, keepdim=True) / n).sqrt()
    return torch.where(spread > 1e-9, centered / spread, torch.zeros_like(values))


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a query and an image that has the query caption, or a copy of it, among its captions."""

    query: np.ndarray  # (n_pairs,) idx
    image: np.ndarray  # (n_pairs,) image row
    documents: sp.csr_array  # (n_pairs, n_words): the image's word counts without those captions


def _leave_one_out(captions, gt_img_index, n_images):
    """Word counts of each image (n_images, n_words), query weights (n_queries, n_words), and the pairs."""
    gt = np.asarray(gt_img_index)
    of_caption = sp.csr_array(_counter().fit_transform(captions)).astype(float)
    n = len(captions)
    belongs = sp.csr_array((np.ones(n), (gt, np.arange(n))), shape=(n_images, n))
    counts = sp.csr_array(belongs @ of_caption)
    group, copies = _copies(captions)
    pairs = _pairs(of_caption, counts, gt, group)
    refuse_leak(pairs, of_caption, counts, gt, group)

    query = _log(of_caption)
    frequency = np.asarray(_binary(of_caption).sum(0)).ravel()
    # Copies share all of their words, so each word of a query loses as many documents as there are copies.
    left_out = np.repeat(copies[group], np.diff(query.indptr))
    n_left = n - left_out
    query.data *= np.log((n_left + 1) / (frequency[query.indices] - left_out + 1))
    return counts, _unit(query), pairs


def _copies(captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which captions have the same text: (number of each caption's text, how many captions have a text)."""
    # The words are compared too: texts that differ in punctuation alone would hand the query its own words.
    texts = [" ".join(words(normalized(caption))) for caption in captions]
    _, group, copies = np.unique(np.array(texts, dtype=object), return_inverse=True, return_counts=True)
    return group, copies


def _pairs(of_caption: sp.csr_array, counts: sp.csr_array, gt: np.ndarray, group: np.ndarray) -> _Pairs:
    """Each query with each image that has a caption of the query's text, and that image's other words."""
    n, n_images = len(group), counts.shape[0]
    of_group = sp.csr_array((np.ones(n), (group, gt)), shape=(group.max() + 1, n_images))
    shared = of_group[group]  # (n_queries, n_images): how many captions of an image have the query's text
    query = np.repeat(np.arange(n), np.diff(shared.indptr))
    image, times = shared.indices, shared.data
    # Copies have the same words as the query, so its own counts, times their number, are what to take away.
    documents = sp.csr_array(counts[image] - _scaled(of_caption[query], 1 / times))
    documents.eliminate_zeros()
    return _Pairs(query, image, documents)


def refuse_leak(pairs: _Pairs, of_caption, counts, gt: np.ndarray, group: np.ndarray) -> None:
    """Raise ValueError where a query caption, or a copy of it, could still reach its own score.

    Every query must have its own image among the pairs, and the words left there must number exactly those
    of the image's captions with another text, counted here from scratch.
    """
    of_own = pairs.image == gt[pairs.query]
    if not np.array_equal(pairs.query[of_own], np.arange(len(gt))):
        raise ValueError("a query caption is left among the captions of its own image")
    lengths = np.asarray(of_caption.sum(1)).ravel()
    left = np.asarray(pairs.documents.sum(1)).ravel()[of_own]
    together = np.bincount(gt, weights=lengths, minlength=counts.shape[0])[gt]
    key = group.astype(np.int64) * counts.shape[0] + gt
    _, same = np.unique(key, return_inverse=True)
    expected = together - np.bincount(same, weights=lengths)[same]
    if not np.allclose(left, expected):
        raise ValueError("a query caption's words are left among those of its own image")


def _assembled(query, document, pairs: _Pairs, own_documents) -> Lexical:
    """The factors, with the scores of all pairs computed from their own documents."""
    values = np.asarray(query[pairs.query].multiply(own_documents).sum(1)).ravel()
    shape = (query.shape[0], document.shape[0])
    indptr = np.searchsorted(pairs.query, np.arange(shape[0] + 1))
    # Built from its parts, so that a score of zero stays stored: it replaces one that leaks.
    own = sp.csr_array((values, pairs.image, indptr), shape=shape)
    return Lexical(query, document.T.tocsr(), own)


def _counter():
    """What counts the words of texts."""
    return sklearn_text.CountVectorizer(analyzer=words)


def _binary(matrix: sp.csr_array) -> sp.csr_array:
    return sp.csr_array(((matrix.data > 0).astype(float), matrix.indices, matrix.indptr), shape=matrix.shape)


def _log(counts: sp.csr_array) -> sp.csr_array:
    """1 + log of each count, as every weighting of term frequencies with `l` has it."""
    data = 1.0 + np.log(np.maximum(counts.data, 1))
    return sp.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)


def _unit(matrix: sp.csr_array) -> sp.csr_array:
    """Rows of length 1; an empty row stays empty."""
    squares = np.asarray(matrix.multiply(matrix).sum(1)).ravel()
    return _scaled(matrix, np.sqrt(squares))


def _scaled(matrix: sp.csr_array, divisor: np.ndarray) -> sp.csr_array:
    """Each row divided by its number; a row with divisor 0 is empty and stays so."""
    per_entry = np.repeat(np.where(divisor > 0, divisor, 1.0), np.diff(matrix.indptr))
    return sp.csr_array((matrix.data / per_entry, matrix.indices, matrix.indptr), shape=matrix.shape)
