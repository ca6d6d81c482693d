import numpy as np
import pytest

from deepforcing import AttentionMass
from ui.look.theme import ROLE_COLOURS, ROLES, THEMES, role_variables
from ui.memory.figures import attention_bars, life_colours, life_map, share_areas

MASS = AttentionMass(
    np.array([0, 1, 7, 8]), ("sink", "sink", "recent", "current"), np.full((2, 3, 4), 0.25, dtype=np.float32)
)


@pytest.mark.parametrize("theme", THEMES)
def test_bars_have_the_colour_of_their_role(theme):
    bar = attention_bars(MASS, theme).data[0]
    assert list(bar.marker.color) == [ROLE_COLOURS[theme][role] for role in MASS.roles]
    assert np.allclose(bar.y, 0.25) and list(bar.x) == ["0", "1", "7", "8"]


def test_areas_end_where_the_last_chunk_ends():
    shares = np.array([[0.5, 0, 0.2, 0.3], [0.4, 0.1, 0.2, 0.3]])
    areas = share_areas([0, 0.5625, 1.3125], shares).data
    assert [area.name for area in areas] == list(ROLES)
    assert list(areas[0].y) == [0.5, 0.4, 0.4] and len(areas[0].x) == 3


def test_life_map_shows_shares_of_tokens():
    alive = np.array([[1.0, 0.5], [np.nan, 2.25]])  # a sink: all, then half; a recent frame: a quarter
    trace = life_map([0, 1, 2], [0, 1], alive).data[0]
    assert np.allclose(trace.customdata, [[1, 0.5], [np.nan, 0.25]], equal_nan=True)


def test_life_colours_have_one_band_a_role():
    scale = life_colours("dark")
    places = [place for place, _ in scale]
    assert places == sorted(places) and places[0] == 0 and places[-1] == 1 and len(scale) == 2 * len(ROLES)


def test_every_role_has_a_css_variable_in_both_themes():
    css = role_variables()
    assert all(css.count(f"--role-{role}:") == len(THEMES) for role in (*ROLES, "evicted"))
