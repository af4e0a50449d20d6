"""The measures of a baseline as lines to print."""

from common import say
from common.retrieval.evaluation import STUDY_TOLERANCE, Baseline, Comparison, Measures, Merged, limits


def lines(found: Baseline) -> list[str]:
    """The headline numbers, each with its n and its interval, and what must be known to read them."""
    captions, images = found.text_to_image, found.image_to_text
    said = _direction("text to image", captions, f"{captions.n:,} captions over {captions.gallery:,} images")
    ties = say.items(captions.ties, "caption")
    if images:  # a run says nothing of them
        said += _direction("image to text", images, f"{images.n:,} images over {images.gallery:,} captions")
        ties += f", {say.items(images.ties, 'image')}"
    said += ["", f"95% intervals account for captions of the same image. Ties count as errors: {ties}"]
    said += _merged(captions.merged) if captions.merged else []
    return said + limits(found) + (_comparison(found.comparison) if found.comparison else [])


def _direction(name: str, found: Measures, n: str) -> list[str]:
    """The measures of one direction."""
    said = ["", f"{name}: {n}"]
    for measure, one in found.by_name.items():
        form = say.coefficient if measure == "MRR" else say.share  # MRR is no share of anything
        said.append(f"  {measure:<4} = {form(one.value, one.low, one.high)}")
    return [*said, f"  median rank {found.median_rank:g}"]


def _merged(found: Merged) -> list[str]:
    """Recall with equal texts merged; nothing where no text is merged."""
    if found.most_images == 1:
        return []
    reached = {1: found.r1, 5: found.r5, 10: found.r10}
    shares = ", ".join(f"R@{k} = {say.share(value)}" for k, value in reached.items())
    return [
        f"With captions of equal text merged, as mteb counts: {shares}",
        f"  ({say.items(found.queries, 'query', 'queries')} of up to {found.most_images} images)",
    ]


def _comparison(compared: Comparison) -> list[str]:
    """Whether the published baseline was reproduced, and where to look if not."""
    published = " / ".join(say.two(value) for value in compared.published.values())
    points = " / ".join(say.signed(value) for value in compared.difference_points.values())
    if compared.agrees:
        return [f"Agrees with the published {published} (differences {points} points)"]
    normal = f"up to {STUDY_TOLERANCE} is normal numerical variation"
    return [
        f"Differs from the published {published} by {points} points ({normal}).",
        "  Likely causes: other weights (see `revision`), another image backend or resize (`processor`),",
        "  images that were re-encoded or do not belong to this file",
    ]
