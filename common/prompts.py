"""Templates put round a whole caption, and ways to pool the scores of several of them.

A COCO caption is a full sentence or a long noun phrase, so each template ends where such a caption can stand:
behind a colon or a full stop, or in quotes. None of them changes or cuts the caption.
"""

import torch

from common.taxonomy import CLEAR_NAMES

POOLINGS = ("mean", "max", "logsumexp")

GENERAL = (
    "A photo: {}",
    "What the photo shows: {}",
    "This is what can be seen in the picture: {}",
    "A photograph taken in everyday life. {}",
    "A sharp colour photograph. {}",
    "A snapshot, described in one sentence: {}",
    "Caption of the image: {}",
    'Someone looked at the photo and wrote: "{}"',
    "Somebody took a picture of this: {}",
    "One scene, as a camera saw it. {}",
)

# Each set calls attention to what its category gets wrong. Which one a query needs is known only once it has
# failed and somebody has said why: these are an oracle's.
OF_CATEGORY = {
    "Attribute": (
        "Every colour, size and material is exactly as said: {}",
        "A photo in which each thing has the stated colour: {}",
        "Look at the colour of each object. {}",
        "Look at size, shape and material of each object. {}",
        "The qualities of the things in this photo: {}",
        "A close look at what the things are like. {}",
        "Each adjective belongs to the thing that it stands beside: {}",
        "A detailed description of how the objects look: {}",
        "What colour is everything? {}",
        "A photo where appearance matters: {}",
    ),
    "Action": (
        "A photo of something happening: {}",
        "What is being done in the photo: {}",
        "Look at what everyone is doing. {}",
        "An action caught by the camera: {}",
        "Who does what to whom: {}",
        "A moment in the middle of an activity. {}",
        "The pose and the movement are exactly as said: {}",
        "A photo that shows how they act together: {}",
        "What is going on here? {}",
        "A photo where the verb matters: {}",
    ),
    "Count": (
        "The number of things is exactly as said: {}",
        "Count the objects in the photo. {}",
        "A photo with just this many: {}",
        "No more and no fewer than stated: {}",
        "How many of each are there? {}",
        "One is one, two are two, many are many: {}",
        "A photo where the number matters: {}",
        "Each thing and each person counted: {}",
        "Alone, in a pair or in a group, as said: {}",
        "The exact quantity can be seen in the photo: {}",
    ),
    "Context": (
        "The place and the surroundings are as said: {}",
        "Look at the background of the photo. {}",
        "Where this was taken: {}",
        "A photo in which the setting matters: {}",
        "The scene behind it all: {}",
        "Indoors or outdoors, by day or by night, as said: {}",
        "A wide view with all of its surroundings. {}",
        "Where are we? {}",
        "The weather, the light and the location fit: {}",
        "A photo of a place and of what is in it: {}",
    ),
    "Spatial": (
        "Everything stands where it is said to stand: {}",
        "Look at where things are in the photo. {}",
        "Left and right, above and below, as said: {}",
        "The arrangement of the things in the photo: {}",
        "What is next to what: {}",
        "A photo in which position matters: {}",
        "In front and behind, on top and underneath, as said: {}",
        "Where is each object? {}",
        "The layout of the scene: {}",
        "How the things are placed towards one another: {}",
    ),
    "Object": (
        "Everything that is named can be seen: {}",
        "Look at which objects are in the photo. {}",
        "A photo that contains exactly these things: {}",
        "What kinds of things are there? {}",
        "None of the named things is missing: {}",
        "A photo in which each noun matters: {}",
        "The objects in this photo: {}",
        "These very things and no similar ones: {}",
        "An inventory of the photo: {}",
        "The main subject and everything around it: {}",
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
