"""The settings block: read from the source, overridden from the terminal, refused in one line."""

import dataclasses

import pytest

from common import settings
from common.errors import SettingError, UserError

SCRIPT = '''"""Step 0 of 6: a script for the tests."""

# ---- settings ----
NUM_IMAGES: int = 5000  # images
TAU: float = 0.01  # cosine units
SEED: int | None = None  # None means the cache's
NAMES: list[str] = ["A", "B"]  # annotators
STRICT: bool = True  # True, False
CACHE_DIR = "cache"  # folder
# ------------------
OTHER = 3
'''


@pytest.fixture
def module(tmp_path):
    """A script's globals, as `override(globals())` gets them."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    found = {"__file__": str(path)}
    exec(compile(SCRIPT, str(path), "exec"), found)
    return found


def test_without_options_only_folders_change(module):
    found = settings.override(module, [])
    assert (found.NUM_IMAGES, found.SEED, found.CACHE_DIR) == (5000, None, settings.PROJECT_DIR / "cache")
    assert module["CACHE_DIR"] == "cache", "the script's own constants stay as they are"


def test_the_record_gives_values_without_folders_and_copies(module):
    found = settings.override(module, [])
    changed = found.but(SEED=7)
    assert (found.SEED, changed.SEED) == (None, 7)
    expected = {"NUM_IMAGES": 5000, "TAU": 0.01, "SEED": 7, "NAMES": ["A", "B"], "STRICT": True}
    assert changed.values() == expected
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.SEED = 7


def test_an_empty_folder_is_not_the_default_one(module):
    """A shell's variable that isn't set would act on another study."""
    for typed in (["--cache-dir", ""], ["--cache-dir="]):
        with pytest.raises(SettingError, match="CACHE_DIR"):
            settings.override(module, typed)
    with pytest.raises(SettingError, match="CACHE_DIR is empty: name a folder"):
        settings.override(module | {"CACHE_DIR": ""}, [])


def test_numbers_and_names_are_checked():
    settings.at_least(1, NUM_IMAGES=1, SEED=None)
    settings.one_of(["en", "zh"], LANGUAGE="en", LANGUAGES=["zh", "en"])
    with pytest.raises(SettingError, match="NUM_IMAGES = 0: should be 1 or more"):
        settings.at_least(1, NUM_IMAGES=0)
    for wrong in ("fr", ["en", "fr"], []):
        with pytest.raises(SettingError, match="LANGUAGE = .*: should be of en, zh"):
            settings.one_of(["en", "zh"], LANGUAGE=wrong)


def test_each_kind_is_read_from_the_terminal(module, tmp_path):
    options = ["--num-images", "7", "--tau=0.5", "--seed", "3", "--names", "X, Y,Z", "--strict", "False"]
    found = settings.override(module, [*options, "--cache-dir", str(tmp_path)])
    assert (found.NUM_IMAGES, found.TAU, found.SEED) == (7, 0.5, 3)
    assert (found.NAMES, found.STRICT, found.CACHE_DIR) == (["X", "Y", "Z"], False, tmp_path)


def test_paths_of_a_list_start_where_they_were_given(tmp_path, monkeypatch):
    """Those of a script at the project's folder, those of the terminal at the current one."""
    source = '# ---- settings ----\nCOMPARE: list[str] = ["cache/meta_a.json"]  # caches\n# ------\n'
    path = tmp_path / "script.py"
    path.write_text(source, encoding="utf-8")
    module = {"__file__": str(path), "COMPARE": ["cache/meta_a.json"]}
    assert settings.override(module, []).COMPARE == [settings.PROJECT_DIR / "cache" / "meta_a.json"]
    monkeypatch.chdir(tmp_path)
    found = settings.override(module, ["--compare", "a.json, /b/c.json"])
    assert [str(each) for each in found.COMPARE] == [str(tmp_path / "a.json"), "/b/c.json"]
    assert found.values() == {} and settings.override(module, ["--compare="]).COMPARE == []


def test_none_can_be_given_where_it_is_legal(module):
    module["SEED"] = 5
    assert settings.override(module, ["--seed", "None"]).SEED is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-image", "7"], "unknown option --num-image (did you mean --num-images?)"),
        (["--other", "7"], "Legal: --num-images --tau --seed --names --strict --cache-dir --help"),
        (["7"], "unknown option 7"),
        (["--num-images", "many"], "--num-images many: should be a whole number"),
        (["--num-images", "7.5"], "should be a whole number"),
        (["--seed", "x"], "--seed x: should be a whole number or None"),
        (["--strict", "yes"], "--strict yes: should be True or False"),
        (["--tau", "None"], "--tau None: should be a number"),
        (["--names"], "--names needs a value"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_legal(module, options, message):
    with pytest.raises(SettingError) as caught:
        settings.override(module, options)
    assert message in str(caught.value)
    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NUM_IMAGES", "5000"),
        ("NUM_IMAGES", True),
        ("STRICT", 1),
        ("NAMES", "AB"),
        ("SEED", "42"),
        ("TAU", None),
    ],
)
def test_a_wrong_value_in_the_block_is_refused_by_name(module, name, value):
    module[name] = value
    with pytest.raises(UserError, match=f"{name} = "):
        settings.override(module, [])


def test_a_whole_number_serves_as_a_number(module):
    module["TAU"] = 1
    assert settings.override(module, []).TAU == 1


def test_help_prints_purpose_and_block(module, capsys):
    with pytest.raises(SystemExit) as caught:
        settings.override(module, ["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "Step 0 of 6" in shown
    assert "NAMES = A,B  # annotators" in shown, "a plain value, as it is typed on the terminal"
    assert "`--num-images 5000` sets NUM_IMAGES" in shown, "an example that this script has"
    assert "OTHER" not in shown
