"""The labels of the study: seven categories of failure, two subtypes of one of them, and what each means.

The annotation guides, the annotation page and the workbooks speak of labels in these words alone.
"""

from typing import NamedTuple

LANGUAGES = ("en", "zh")


class Label(NamedTuple):
    """One label under each of its names. `name` is what files hold; the others are for people."""

    name: str
    long_name: str
    chinese_name: str
    key: str  # on the annotation page
    definition: str  # one sentence, short enough to fit next to the pictures
    chinese_definition: str

    def title(self, language: str) -> str:
        """The name that a reader of English ("en") or Chinese ("zh") sees."""
        return self.chinese_name if language == "zh" else self.long_name

    def meaning(self, language: str) -> str:
        """The short definition in English ("en") or Chinese ("zh")."""
        return self.chinese_definition if language == "zh" else self.definition


CATEGORIES = (
    Label(
        "Ambiguous",
        "Ambiguous",
        "歧义",
        "1",
        "The retrieved image fits the whole caption too, or you are still unsure after ten seconds.",
        "检索到的图像同样符合整句描述，或者看了十秒仍然拿不准。",
    ),
    Label(
        "Attribute",
        "Attribute Binding",
        "属性绑定",
        "2",
        "The things are there, but a colour, size, material or other quality is wrong or on the wrong thing.",
        "物体都在，但颜色、大小、材质等属性不对，或者安到了别的物体上。",
    ),
    Label(
        "Action",
        "Action / Interaction",
        "动作/交互",
        "3",
        "The things are there, but they do something else, or do it with something else.",
        "物体都在，但做的事情不同，或者动作的对象不同。",
    ),
    Label(
        "Count",
        "Counting / Plurality",
        "计数/数量",
        "4",
        "The things are there, but in another number: two instead of three, a group instead of one.",
        "物体都在，但数量不同：例如三个变成两个，一个变成一群。",
    ),
    Label(
        "Context",
        "Scene / Context",
        "场景/背景",
        "5",
        "Everything in the foreground fits, but the place, weather or time of day is another.",
        "主体都符合，但地点、环境、天气或时间不同。",
    ),
    Label(
        "Spatial",
        "Spatial Relation",
        "空间关系",
        "6",
        "The things are there, but placed otherwise: left or right, on or under, in front or behind.",
        "物体都在，但位置关系不同：左右、上下、前后、内外。",
    ),
    Label(
        "Object",
        "Object Confusion",
        "物体混淆",
        "7",
        "Something that the caption names is not there, or something else stands in its place.",
        "描述中提到的物体没有出现，或者被别的物体取代。",
    ),
)
SUBTYPES = (
    Label(
        "underspecified",
        "Underspecified caption",
        "描述不足",
        "u",
        "The caption says so little that images of quite different scenes fit it.",
        "描述太笼统，很多不同的画面都符合。",
    ),
    Label(
        "nearduplicate",
        "Near-duplicate image",
        "近似重复",
        "d",
        "Both images show nearly the same scene; no ordinary caption would tell them apart.",
        "两张图像几乎是同一个画面，一般的描述区分不了它们。",
    ),
)

CATEGORY_NAMES = tuple(label.name for label in CATEGORIES)
CLEAR_NAMES = tuple(name for name in CATEGORY_NAMES if name != "Ambiguous")
SUBTYPE_NAMES = tuple(label.name for label in SUBTYPES)

# Where a retrieved image gets several things wrong, the first of these wins. What is missing has no place, no
# action and no color, so Object comes first; then from what binds the most words of a caption to the fewest.
PRECEDENCE = ("Object", "Spatial", "Action", "Count", "Attribute", "Context")
