"""The labels of the study: seven categories of failure, and two subtypes of one of them."""

from typing import NamedTuple


class Label(NamedTuple):
    """One label under each of its names. `name` is what files hold; the others are for people."""

    name: str
    long_name: str
    chinese_name: str


CATEGORIES = (
    Label("Ambiguous", "Ambiguous", "歧义"),
    Label("Attribute", "Attribute Binding", "属性绑定"),
    Label("Action", "Action / Interaction", "动作/交互"),
    Label("Count", "Counting / Plurality", "计数/数量"),
    Label("Context", "Scene / Context", "场景/背景"),
    Label("Spatial", "Spatial Relation", "空间关系"),
    Label("Object", "Object Confusion", "物体混淆"),
)
SUBTYPES = (
    Label("underspecified", "Underspecified caption", "描述不足"),
    Label("nearduplicate", "Near-duplicate image", "近似重复"),
)

CATEGORY_NAMES = tuple(label.name for label in CATEGORIES)
CLEAR_NAMES = tuple(name for name in CATEGORY_NAMES if name != "Ambiguous")
SUBTYPE_NAMES = tuple(label.name for label in SUBTYPES)
