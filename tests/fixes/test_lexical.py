"""Words for re-ranking: against a reference that removes captions physically, and that a leak is caught."""

import math
import re
import unicodedata

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from common.fixes import lexical
from common.retrieval import coco, evaluation, ranking

CAPTIONS = [
    *("A dog runs on the beach.", "The brown dog", "dog on sand", "a dog  runs on the BEACH"),
    *("A cat sleeps", "cat on a red sofa", "a cat sleeps.", "sofa, red; cat!"),
    *("Two dogs and a cat", "animals on a sofa", "a cat sleeps", "three of them"),
    *("!!", "red red car", "a car", "the beach"),
]
GT = np.repeat(np.arange(4), 4)
ACCENTS = ["un café crème", "Un café crème.", "café noir", "thé à la crème", "un été", "cafe noir"]
ACCENTS_GT = np.repeat(np.arange(3), 2)


def other_words(captions, gt, query, image):
    """Word lists of an image's captions, those with the query's text physically removed."""
    key = lexical.words(coco.normalized(captions[query]))
    texts = [lexical.words(caption) for caption, owner in zip(captions, gt, strict=True) if owner == image]
    return [text for text in texts if text != key]


def reference_tfidf(captions, gt, query, image):
    """TF-IDF cosine, written from its definition, one pair at a time."""
    own = lexical.words(captions[query])
    others = [text for text in map(lexical.words, captions) if text != own]
    weights = {}
    for word in set(own):
        idf = math.log((len(others) + 1) / (sum(word in text for text in others) + 1))
        weights[word] = (1 + math.log(own.count(word))) * idf
    document = [word for text in other_words(captions, gt, query, image) for word in text]
    terms = {word: 1 + math.log(document.count(word)) for word in set(document)}
    lengths = [math.sqrt(sum(value**2 for value in each.values())) for each in (weights, terms)]
    if not all(lengths):
        return 0.0
    return sum(weights[word] * terms.get(word, 0) for word in weights) / math.prod(lengths)


def reference_overlap(captions, gt, query, image):
    own = set(lexical.words(captions[query]))
    known = {word for text in other_words(captions, gt, query, image) for word in text}
    return len(own & known) / len(own) if own else 0.0


@pytest.mark.parametrize(
    ("make", "reference"),
    [(lexical.tfidf, reference_tfidf), (lexical.overlap, reference_overlap)],
    ids=["tfidf", "overlap"],
)
def test_equal_to_a_reference_without_the_query_caption(make, reference):
    captions, gt = CAPTIONS, GT
    block = make(captions, gt, 4).block(np.arange(len(captions)))
    expected = [[reference(captions, gt, query, image) for image in range(4)] for query in range(len(gt))]
    np.testing.assert_allclose(block, expected, atol=1e-12)
    assert block.min() >= 0 and block.max() <= 1 + 1e-12


@pytest.mark.parametrize("make", [lexical.tfidf, lexical.overlap])
def test_a_caption_id_can_t_reach_its_own_score(make):
    # A word that one caption alone has: whoever sees that caption has the answer.
    for query in range(len(CAPTIONS)):
        captions = [text + " zyxwv" * (row == query) for row, text in enumerate(CAPTIONS)]
        index = make(captions, GT, 4)
        scores = index.block(np.array([query]))[0]
        word = index.query[[query]].indices[-1]
        assert index.document[[word]].nnz == 1, "the image's document holds the word"
        expected = {lexical.tfidf: reference_tfidf, lexical.overlap: reference_overlap}[make]
        assert scores[GT[query]] == pytest.approx(expected(captions, GT, query, GT[query]), abs=1e-12)
        assert scores[GT[query]] < 0.999


@pytest.mark.parametrize("make", [lexical.tfidf, lexical.overlap])
def test_an_index_that_leaks_is_refused(make, monkeypatch):
    pairs = lexical._pairs

    def leaky(of_caption, counts, gt, group):
        found = pairs(of_caption, counts, gt, group)
        return lexical._Pairs(found.query, found.image, counts[found.image])

    monkeypatch.setattr(lexical, "_pairs", leaky)
    with pytest.raises(ValueError, match="words are left among those of its own image"):
        make(CAPTIONS, GT, 4)

    def forgetful(of_caption, counts, gt, group):
        found = pairs(of_caption, counts, gt, group)
        keep = found.query != 5
        return lexical._Pairs(found.query[keep], found.image[keep], found.documents[np.flatnonzero(keep)])

    monkeypatch.setattr(lexical, "_pairs", forgetful)
    with pytest.raises(ValueError, match="left among the captions of its own image"):
        make(CAPTIONS, GT, 4)


def test_on_real_captions_a_leak_would_give_the_answer(coco_dir, monkeypatch):
    from tests.support import coco_600

    image_ids, order = coco_600.frozen_order(coco_dir / "annotations" / "captions_val2017_600.json", 600)
    content = coco.read_captions(coco_dir / "annotations" / "captions_val2017_600.json")
    captions = [content.anns[caption_id]["caption"] for caption_id, _ in order]
    gt = np.array([image for _, image in order])

    def recall_by_words_alone():
        scores = torch.from_numpy(lexical.tfidf(captions, gt, 600).block(np.arange(len(gt))))
        ranks, _ = ranking.positive_ranks(scores, torch.from_numpy(gt))
        return evaluation.recall(ranks, 1)

    assert 0.3 < recall_by_words_alone() < 0.7
    monkeypatch.setattr(lexical, "refuse_leak", lambda *_: None)
    pairs = lexical._pairs
    monkeypatch.setattr(
        lexical, "_pairs", lambda x, counts, *rest: _with_all_words(pairs(x, counts, *rest), counts)
    )
    assert recall_by_words_alone() > 0.9


def _with_all_words(pairs, counts):
    return lexical._Pairs(pairs.query, pairs.image, counts[pairs.image])


def test_words_of_clip_come_from_the_nearest_bank_captions():
    axes = torch.eye(4)
    bank_captions = ["a red car", "red car", "the sofa", "a cat", "unrelated words"]
    bank = normalize(axes[[0, 0, 1, 2, 3]] + 0.01, dim=1)
    index = lexical.clip_words(["A red car!", "some cat", "zebra"], axes[:3], bank, bank_captions, k=2)
    scores = index.block(np.arange(3))
    assert scores.argmax(1)[:2].tolist() == [0, 2]
    assert scores[2].tolist() == [0, 0, 0], "a word that the bank lacks is skipped"
    assert scores[0, 0] > 0.9 and scores[0, 1:].max() < 0.5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A dog_2's ball, 3rd!", ["a", "dog_2", "s", "ball", "3rd"]),
        ("一只狗 A dog_2's", ["一只", "只狗", "a", "dog_2", "s"]),
        ("狗。猫", ["狗", "猫"]),
        ("ラーメン", ["ラー", "ーメ", "メン"]),
        ("ตัวใหญ่", ["ตัว", "วใ", "ให", "หญ่"]),
        ("ខ្មែរ", ["ខ្មែ", "មែរ"]),
        ("မြန်မာ", ["မြန်", "န်မာ"]),
        ("ລາວ 2 ลา", ["ລາ", "າວ", "2", "ลา"]),
        ("एक बड़ा कुत्ता", ["एक", "बड़ा", "कुत्ता"]),
        ("তিনটি কুকুর", ["তিনটি", "কুকুর"]),
        ("இரண்டு நாய்கள்", ["இரண்டு", "நாய்கள்"]),
        ("כֶּלֶב גָּדוֹל", ["כֶּלֶב", "גָּדוֹל"]),
        ("كَلْبٌ كبير", ["كَلْبٌ", "كبير"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("I ♥\ufe0f \u0301 n\u0303", ["i", "ñ"]),
        ("한국어 개", ["한국어", "개"]),
        ("Двa щeнка", ["двa", "щeнка"]),
    ],
)
def test_words_of_any_script_keep_their_marks(text, found):
    """And both Unicode forms of a text have the same words."""
    expected = [unicodedata.normalize("NFC", word) for word in found]
    for form in ("NFC", "NFD"):
        assert lexical.words(unicodedata.normalize(form, text)) == expected


def test_words_of_the_real_captions_are_as_before(coco_dir):
    before = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
    content = coco.read_captions(coco_dir / "annotations" / "captions_val2017_600.json")
    for annotation in content.anns.values():
        text = annotation["caption"]
        assert lexical.words(text) == before.findall(text.lower())
        # The way of all scripts, which ASCII need not take, has the same words.
        assert [run[0] for run in lexical.RUN.finditer(text.lower())] == lexical.words(text)


@pytest.mark.parametrize("make", [lexical.tfidf, lexical.overlap])
def test_both_forms_of_a_caption_are_one_text(make):
    """A copy in the other form would hand the query its own words."""
    captions = [unicodedata.normalize("NFD", text) if row % 2 else text for row, text in enumerate(ACCENTS)]
    queries = np.arange(len(ACCENTS))
    same = make(ACCENTS, ACCENTS_GT, 3).block(queries)
    np.testing.assert_allclose(make(captions, ACCENTS_GT, 3).block(queries), same)


def test_reranking_moves_candidates_alone_and_leads_the_rest():
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.2, 0.1], [0.1, 0.5, 0.5, 0.5, 0.4]], dtype=torch.float64)
    words = torch.tensor([[0.0, 0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.5, 1.0, 1.0]], dtype=torch.float64)
    places, chosen = lexical.candidates(scores, 2)
    # Three images tie for two places in the second row, so all three are candidates.
    assert [row[keep].tolist() for row, keep in zip(places, chosen, strict=True)] == [[0, 1], [1, 2, 3]]
    new = lexical.rerank(scores, words.gather(1, places), places, chosen, weight=0.5)
    assert new.argsort(1, descending=True).tolist() == [[0, 1, 2, 3, 4], [3, 2, 1, 4, 0]]
    assert torch.equal(new[0, 2:], scores[0, 2:])
    heavy = lexical.rerank(
        scores, words.gather(1, places) + torch.tensor([[0, 9, 0], [0, 0, 0]]), places, chosen, 9
    )
    assert heavy[0].argmax() == 1


def test_without_words_that_differ_nothing_moves():
    scores = torch.rand(50, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places, chosen = lexical.candidates(scores, 10)
    new = lexical.rerank(scores, torch.full((50, 10), 0.3, dtype=torch.float64), places, chosen, weight=5.0)
    assert torch.equal(new.argsort(1), scores.argsort(1))
