"""The labels of the study: categories of failure, the subtypes of one of them, and what each means.

Everything that speaks of labels (sheets, page, readers, tables, the method `category` of step 6) takes them
from here. **To add, rename or remove a category, edit its entry of CATEGORIES: nothing else.** The annotation
guides are for people: `pytest tests/labels/test_taxonomy.py` says in a line what they lack. `AMBIGUOUS`
can be renamed, not removed: the study tells failures that the caption could have prevented by this label.
"""

from typing import NamedTuple

LANGUAGES = ("en", "zh")
# The category whose retrieved image is no error, and the one with subtypes: its name is set here.
AMBIGUOUS = "Ambiguous"


class Label(NamedTuple):
    """One label under each of its names. `name` is what files hold; the others are for people."""

    name: str  # one word
    long_name: str
    key: str  # on the annotation page: a digit, or a letter that the page has no other use for
    definition: str  # one sentence, short enough to fit next to the pictures
    chinese_name: str = ""  # without one, Chinese pages show the long name
    chinese_definition: str = ""  # without one, Chinese pages show the English one
    # Of a clear category: where a retrieved image gets several things wrong, the lowest number wins. Without
    # a number, a category comes after those that have one.
    precedence: int | None = None
    # Further ways to write it. Only those that can mean nothing else: "number" or "place" would be a guess at
    # what the annotator had in mind. A label that is renamed keeps its old name here: filled sheets hold it.
    spellings: tuple[str, ...] = ()
    # Of a clear category: as many as prompts.GENERAL has, each with {} for the caption. Without them the
    # method `category` of step 6 is left out, and everything else runs.
    templates: tuple[str, ...] = ()
    # Of a clear category: types of SugarCrepe's items that are about it (probe.py); one may be about several.
    probes: tuple[str, ...] = ()
    # By which words an English caption mentions it: see mentions.py, which has the rules. "": not known.
    words: str = ""

    def title(self, language: str) -> str:
        """The name that a reader of English ("en") or Chinese ("zh") sees."""
        return self.chinese_name if language == "zh" and self.chinese_name else self.long_name

    def meaning(self, language: str) -> str:
        """The short definition in English ("en") or Chinese ("zh")."""
        return self.chinese_definition if language == "zh" and self.chinese_definition else self.definition

    @property
    def names(self) -> tuple[str, ...]:
        """All of its names that guides and pages show, the one of files first."""
        return tuple(dict.fromkeys(filter(None, (self.name, self.long_name, self.chinese_name))))


# Precedence: what is missing has no place, no action and no color, so Object comes first; then from what
# binds the most words of a caption to the fewest. Templates call attention to what their category gets wrong.
# fmt: off
CATEGORIES = (
    Label(
        name=AMBIGUOUS,
        long_name=AMBIGUOUS,
        key="1",
        definition=(
            "The retrieved image fits the whole caption too, or you are still "
            "unsure after ten seconds."
        ),
        chinese_name="歧义",
        chinese_definition="检索到的图像同样符合整句描述，或者看了十秒仍然拿不准。",
        spellings=(
            "Ambiguity", "Ambig", "Ambigous", "Ambigious", "Ambiguos", "Ambiguious", "Ambigiuous",
            "Ambiguius", "Ambigouus", "Ambigiguous", "Amibguous", "Ambguous", "Abmiguous", "模糊", "有歧义",
        ),
    ),
    Label(
        name="Attribute",
        long_name="Attribute Binding",
        key="2",
        definition=(
            "The things are there, but a color, size, material or other quality is wrong or on the "
            "wrong thing."
        ),
        chinese_name="属性绑定",
        chinese_definition="物体都在，但颜色、大小、材质等属性不对，或者安到了别的物体上。",
        precedence=5,
        spellings=(
            "Attributes", "Attribut", "Atribute", "Attibute", "Attrbute", "Attribue", "Attirbute",
            "Atrribute", "Atttribute", "Attribute Bind", "Attributes Binding", "Attribute Bindings", "属性",
        ),
        templates=(
            "The colours fit: {}", "Look at the colour. {}", "Look at the size. {}",
            "What colour is it? {}", "What is it like? {}", "Each adjective fits: {}",
            "How things look: {}", "Material and shape: {}", "True to the detail: {}",
            "Big, small, red, blue: {}",
        ),
        probes=("replace_att", "swap_att", "add_att"),
        words=(
            "red orange yellow green blue purple pink violet white black gray grey brown tan beige "
            "gold golden silver blonde colorful colou?red bright dark light pale small little "
            "tiny large big huge giant long short tall wide narrow thin thick fat round square flat "
            "wooden wood metal metallic plastic glass stone brick leather paper stuffed striped plaid "
            "checkered spotted patterned old young new antique vintage modern fresh ripe clean dirty "
            "wet dry rusty shiny furry fluffy open closed empty full broken cooked sliced cut hot "
            "cold beautiful pretty cute nice !(green|white|wooded)_(grass|snow)"
        ),
    ),
    Label(
        name="Action",
        long_name="Action / Interaction",
        key="3",
        definition="The things are there, but they do something else, or do it with something else.",
        chinese_name="动作/交互",
        chinese_definition="物体都在，但做的事情不同，或者动作的对象不同。",
        precedence=3,
        spellings=(
            "Actions", "Acton", "Actoin", "Acion", "Acction", "Aktion", "Interaction", "Interactions",
            "Action Interactions", "动作", "交互",
        ),
        templates=(
            "What is being done: {}", "What is going on? {}", "Look at the action. {}",
            "Something happens: {}", "Who does what: {}", "In the act: {}", "A moving moment: {}",
            "The verb matters: {}", "What they do: {}", "Pose and movement: {}",
        ),
        probes=("replace_rel",),
        words=(
            "*ing !building !ceiling !clothing !wedding !evening !morning !something !anything "
            "!everything !nothing !thing !string !king !ring !wing !spring !railing !awning "
            "!painting !drawing !living !dining !parking !bathing !including !during !being !having "
            "!interesting !topping !icing !dressing !stuffing !frosting sits? stands? lie[s]? lays? "
            "sleeps? walks? runs? rides? drives? flies fly eats? drinks? plays? holds? carries "
            "carry wears? looks? watches watch throws? catches catch hits? swings? jumps? pulls? "
            "pushes push rolls? waits? reads? talks? smiles? poses? cuts? cooks? makes? prepares? "
            "leans? rests? hangs? grazes? skis? surfs? parked unlit perched seated mounted covered "
            "filled topped dressed lit tied stacked"
        ),
    ),
    Label(
        name="Count",
        long_name="Counting / Plurality",
        key="4",
        definition=(
            "The things are there, but in another number: two instead of three, a "
            "group instead of one."
        ),
        chinese_name="计数/数量",
        chinese_definition="物体都在，但数量不同：例如三个变成两个，一个变成一群。",
        precedence=4,
        spellings=(
            "Counts", "Counting", "Plurality", "Conut", "Coutn", "Cuont", "Counting Plural", "Countng",
            "Couting", "计数", "数量",
        ),
        templates=(
            "The number fits: {}", "Count them. {}", "How many? {}", "Exactly this many: {}",
            "No more, no fewer: {}", "The number matters: {}", "One by one: {}", "Alone or in a group: {}",
            "One, two, three: {}", "All of them, counted: {}",
        ),
        probes=("replace_num",),
        words=(
            "two three four five six seven eight nine ten eleven twelve dozens? hundreds? [0-9]+ "
            "pairs? couples? trio both several some many few multiple various numerous lots groups? "
            "bunch herds? flocks? crowds? stacks? piles? rows? sets? single double"
        ),
    ),
    Label(
        name="Context",
        long_name="Scene / Context",
        key="5",
        definition="Everything in the foreground fits, but the place, weather or time of day is another.",
        chinese_name="场景/背景",
        chinese_definition="主体都符合，但地点、环境、天气或时间不同。",
        precedence=6,
        spellings=(
            "Contexts", "Contex", "Contxt", "Conext", "Cotext", "Contextt", "Scene", "Scenes", "场景", "背景",
        ),
        templates=(
            "The place fits: {}", "Look at the place. {}", "Where is this? {}", "The background: {}",
            "Indoors or outdoors: {}", "By day or by night: {}", "All around it: {}",
            "The setting matters: {}", "A view of the place: {}", "The surroundings: {}",
        ),
        words=(
            "rooms? kitchens? bathrooms? bedrooms? restrooms? offices? houses? homes? restaurants? "
            "stores? shops? markets? airports? stations? stadiums? schools? museums? zoos? barns? "
            "garages? indoors? inside outdoors? outside streets? roads? highways? sidewalks? city "
            "cities towns? villages? parks? parking_lots? yards? gardens? farms? fields? meadows? "
            "grass grassy forests? woods jungle beach beaches ocean sea shore lakes? rivers? ponds? "
            "pools? harbors? mountains? hills? hillsides? slopes? deserts? sand sandy snow snowy ice "
            "icy rain rainy fog foggy cloudy sunny sunset sunrise night nighttime evening morning "
            "daytime sky skies background runways? tarmac tracks? courts? ramps? intersections? dirt"
        ),
    ),
    Label(
        name="Spatial",
        long_name="Spatial Relation",
        key="6",
        definition=(
            "The things are there, but placed otherwise: left or right, on or "
            "under, in front or behind."
        ),
        chinese_name="空间关系",
        chinese_definition="物体都在，但位置关系不同：左右、上下、前后、内外。",
        precedence=2,
        spellings=(
            "Spatial Relations", "Spatial Relationship", "Sptial", "Spacial", "Spatail", "Spatal",
            "Spatical", "Spatiel", "Spatioal", "Saptial", "Spartial", "空间",
        ),
        templates=(
            "Where things are: {}", "Left or right: {}", "Look where it is. {}", "Above or below: {}",
            "What is next to what: {}", "In front or behind: {}", "The layout: {}",
            "Where is each thing? {}", "The position matters: {}", "Side by side or apart: {}",
        ),
        probes=("replace_rel",),
        words=(
            "left right above over below under underneath beneath behind between besides? "
            "next_to near nearby close_to by in_front_of on around against across along among "
            "through inside_(a|an|the|of) middle center top bottom upper lower half front back "
            "corner sides? edge onto into atop off "
            "!on_(a|the)_(beach|sand|grass|ice|street|road|sidewalk) "
            "!on_(a|the)_(snow|slope|field|court|track|tarmac) "
            "!on_(a|the)_(runway|ramp|hill|mountain) !on_(a_frozen|green_grass)"
        ),
    ),
    Label(
        name="Object",
        long_name="Object Confusion",
        key="7",
        definition="Something that the caption names is not there, or something else is in its place.",
        chinese_name="物体混淆",
        chinese_definition="描述中提到的物体没有出现，或者被别的物体取代。",
        precedence=1,
        spellings=(
            "Objects", "Objet", "Obejct", "Ojbect", "Objcet", "Objekt", "Obect", "Objct",
            "Object Confusions", "物体", "对象混淆",
        ),
        templates=(
            "What is in it: {}", "Look at the things. {}", "These very things: {}",
            "Which things are there? {}", "None is missing: {}", "The noun matters: {}",
            "All that is named: {}", "The objects: {}", "What kind of thing? {}",
            "This and nothing else: {}",
        ),
        probes=("replace_obj", "swap_obj", "add_obj"),
        words="*",
    ),
)
SUBTYPES = (
    Label(
        name="underspecified",
        long_name="Underspecified caption",
        key="u",
        definition="The caption says so little that images of quite different scenes fit it.",
        chinese_name="描述不足",
        chinese_definition="描述太笼统，很多不同的画面都符合。",
        spellings=(
            "Under-specified", "Underspecification", "Underspecifed", "Underspecifie", "Underspecfied",
            "Underspecifid", "Undersepcified", "Underspecificed", "Underpecified",
            "Underspecified captions", "描述不充分",
        ),
    ),
    Label(
        name="nearduplicate",
        long_name="Near-duplicate image",
        key="d",
        definition="Both images show nearly the same scene; no ordinary caption would tell them apart.",
        chinese_name="近似重复",
        chinese_definition="两张图像几乎是同一个画面，一般的描述区分不了它们。",
        spellings=(
            "Near-duplicate", "Near duplicates", "Near-duplicate images", "Near dup", "Near dupe",
            "Nearduplicat", "Near-dupicate", "Near-duplciate", "Near-dublicate", "Neer duplicate", "近重复",
        ),
    ),
)
# fmt: on

CATEGORY_NAMES = tuple(label.name for label in CATEGORIES)
CLEAR_NAMES = tuple(name for name in CATEGORY_NAMES if name != AMBIGUOUS)
SUBTYPE_NAMES = tuple(label.name for label in SUBTYPES)


def _precedence() -> tuple[str, ...]:
    """The clear categories, the one that wins over all others first."""
    clear = [label for label in CATEGORIES if label.name in CLEAR_NAMES]
    last = len(clear) + max((label.precedence or 0 for label in clear), default=0)
    return tuple(label.name for label in sorted(clear, key=lambda label: label.precedence or last))


PRECEDENCE = _precedence()
