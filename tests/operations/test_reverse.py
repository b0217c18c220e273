from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from qm.errors import NonRetryable
from qm.operations.binding import kind
from qm.operations.reverse import reverse

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
WAVE = "\U0001f44b\U0001f3fd"
SLOVENIA = "\U0001f1f8\U0001f1ee"
JAPAN = "\U0001f1ef\U0001f1f5"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
KEYCAP = "1\ufe0f\u20e3"

#: Clusters that stay apart, whatever their order.
LETTERS = ["a", "\r\n", "č", "c\u030c", "e\u0301\u0323", "한", "語", "நி", "हि", "ก็"]
CLUSTERS = st.lists(st.sampled_from([*LETTERS, FAMILY, WAVE, SLOVENIA, JAPAN, ENGLAND, KEYCAP]))


def test_the_originals_case_holds() -> None:
    assert reverse("ta suhi skafec pusca") == "acsup cefaks ihus at"


@given(CLUSTERS)
def test_clusters_change_places_and_stay_whole(clusters: list[str]) -> None:
    assert reverse("".join(clusters)) == "".join(reversed(clusters))


@given(CLUSTERS)
def test_twice_is_the_text_itself(clusters: list[str]) -> None:
    text = "".join(clusters)
    assert reverse(reverse(text)) == text


@given(st.text())
def test_no_text_loses_a_character(text: str) -> None:
    assert sorted(reverse(text)) == sorted(text)


# Without Indic letters: there \X of some releases joins what the standard keeps apart.
@given(
    st.text(
        alphabet="a\r\u0301\u200d\ufe0f\u0903\u0600\u1100\u1161한\U0001f468\U0001f3fd\U0001f1f8\U0001f1ee"
    )
)
def test_flags_do_not_change_what_a_cluster_is(text: str) -> None:
    assert reverse(text) == "".join(reversed(regex.findall(r"\X", text)))


@pytest.mark.parametrize(
    "unit", [SLOVENIA, SLOVENIA + "\u0301", "\U0001f1f8", "e\u0301", "\u0301", FAMILY + "\u200d", "क्"]
)
def test_a_long_row_of_one_kind_takes_no_long(unit: str) -> None:
    """Minutes with \\X alone where it is a row of flags; pytest's timeout would tell."""
    text = unit * (200_000 // len(unit))
    assert len(reverse(text)) == len(text)


@pytest.mark.parametrize("value", [None, 12, 1.5, True, ["a", "b"], {"text": "ab"}, b"ab"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(NonRetryable, match=f"needs a text, got {kind(value)}"):
        reverse(value)


def test_an_empty_text_stays_empty() -> None:
    assert reverse("") == ""
