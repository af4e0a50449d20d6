"""Templates put around a whole caption, and ways to pool the scores of several of them.

A COCO caption is a full sentence or a long noun phrase, so each template ends where such a caption can stand:
behind a colon, a full stop or a question mark. None changes the caption, and all are short: a text that is
longer than the model reads is cut off at its end, where the caption is.
"""

import torch

from common.labels.taxonomy import CLEAR_NAMES

POOLINGS = ("mean", "max", "logsumexp")

GENERAL = (
    "A photo: {}",
    "A picture: {}",
    "A snapshot: {}",
    "An image: {}",
    "In this photo: {}",
    "The photo shows: {}",
    "What can be seen: {}",
    "A camera saw this: {}",
    "A real scene: {}",
    "Caption: {}",
)

# Each set calls attention to what its category gets wrong. Which one a query needs is known only once it has
# failed and somebody has said why: these are an oracle's.
OF_CATEGORY = {
    "Attribute": (
        "The colours fit: {}",
        "Look at the colour. {}",
        "Look at the size. {}",
        "What colour is it? {}",
        "What is it like? {}",
        "Each adjective fits: {}",
        "How things look: {}",
        "Material and shape: {}",
        "True to the detail: {}",
        "Big, small, red, blue: {}",
    ),
    "Action": (
        "What is being done: {}",
        "What is going on? {}",
        "Look at the action. {}",
        "Something happens: {}",
        "Who does what: {}",
        "In the act: {}",
        "A moving moment: {}",
        "The verb matters: {}",
        "What they do: {}",
        "Pose and movement: {}",
    ),
    "Count": (
        "The number fits: {}",
        "Count them. {}",
        "How many? {}",
        "Exactly this many: {}",
        "No more, no fewer: {}",
        "The number matters: {}",
        "One by one: {}",
        "Alone or in a group: {}",
        "One, two, three: {}",
        "All of them, counted: {}",
    ),
    "Context": (
        "The place fits: {}",
        "Look at the place. {}",
        "Where is this? {}",
        "The background: {}",
        "Indoors or outdoors: {}",
        "By day or by night: {}",
        "All around it: {}",
        "The setting matters: {}",
        "A view of the place: {}",
        "The surroundings: {}",
    ),
    "Spatial": (
        "Where things are: {}",
        "Left or right: {}",
        "Look where it is. {}",
        "Above or below: {}",
        "What is next to what: {}",
        "In front or behind: {}",
        "The layout: {}",
        "Where is each thing? {}",
        "The position matters: {}",
        "Side by side or apart: {}",
    ),
    "Object": (
        "What is in it: {}",
        "Look at the things. {}",
        "These very things: {}",
        "Which things are there? {}",
        "None is missing: {}",
        "The noun matters: {}",
        "All that is named: {}",
        "The objects: {}",
        "What kind of thing? {}",
        "This and nothing else: {}",
    ),
}
assert set(OF_CATEGORY) == set(CLEAR_NAMES)
MOST = len(GENERAL)  # templates there are of each set


def filled(templates: tuple[str, ...], caption: str) -> list[str]:
    """The caption in each template, whole but for white space at its edges, which no sentence has."""
    return [template.replace("{}", caption.strip()) for template in templates]


def pool(scores: torch.Tensor, pooling: str, tau: float) -> torch.Tensor:
    """Scores of K templates as one: (K, ...) cosines to (...).

    mean ranks as the averaged embedding does; max takes the best template; logsumexp is
    tau x (log-sum-exp(s / tau) - log K), which goes from max (tau to 0) to mean (tau large). Cosines differ
    by hundredths, so a tau of 1 *is* the mean; 0.01, the inverse of CLIP's own scale, is between the two.
    """
    if pooling == "mean":
        return scores.mean(0)
    if pooling == "max":
        return scores.amax(0)
    if pooling == "logsumexp":
        # Off the maximum first: for a small tau the sum would lose what it is about.
        top = scores.amax(0)
        return top + tau * torch.log(torch.exp((scores - top) / tau).mean(0))
    raise ValueError(f"pooling {pooling!r}: should be one of {', '.join(POOLINGS)}")
