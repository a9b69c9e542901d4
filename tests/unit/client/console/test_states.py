import re

from fleetscore.console.states import STATES
from tests.testkit.paths import ROOT


def test_style_sheet_has_the_colours_of_the_picture() -> None:
    style = (ROOT / "client/src/fleetscore/console/static/console.css").read_text()
    for state in STATES:
        colours = re.findall(rf"--{state.name}: #(\w+);", style)
        assert [bytes.fromhex(colour) for colour in colours] == [state.light, state.dark], state.name
