"""What a label is: strings, numbers and booleans, blanks, accents, and labels that look alike."""

import unicodedata

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brigade.events.labels import alike, clean_label, label_of, label_text

WILD = st.text(st.sampled_from("aA é\u0301\u00a0\u200b\ufeff\u2003\u1100\u1161[]{}\t\n\x00\u200d👩") | st.characters())


@pytest.mark.parametrize(
    "blank", [*" \t\n\r\v\f\x00\x1c\x1f\x7f\x85\xa0\xad\u1680\u180e\u2003\u2028\u202f\u205f\u3000"]
)
def test_a_blank_at_an_end_does_not_count(blank):
    assert clean_label(f"{blank}two{blank}words {blank}") == f"two{blank}words"
    assert clean_label(blank) is None


@pytest.mark.parametrize("unseen", [*"\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff\u3164\u2800"])
def test_a_character_of_no_width_at_an_end_does_not_count(unseen):
    assert clean_label(f"{unseen} spam{unseen}") == "spam"
    assert clean_label(f" {unseen} ") is None


@pytest.mark.parametrize(
    "label", ["👩‍🌾", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "❤️", "می‌خواهم"]
)
def test_what_belongs_to_a_sign_stays(label):
    assert clean_label(f" {label} ") == label


def test_an_accent_is_the_same_however_it_is_encoded_and_letters_that_differ_stay_apart():
    words = ["preço", "한국", "Å", "ạ̈"]
    for form in ("NFC", "NFD"):
        assert [clean_label(unicodedata.normalize(form, word)) for word in words] == [
            unicodedata.normalize("NFC", word) for word in words
        ]
    assert len({clean_label(one) for one in ("spam", "Spam", "ｓｐａｍ", "spa m", "ﬁ", "fi")}) == 6


@given(WILD)
def test_a_label_stays_as_it_is_when_it_is_read_again(text):
    label = clean_label(text)
    assert clean_label(label) == label
    assert label is None or label.strip() == label == unicodedata.normalize("NFC", label) != ""
    assert clean_label(unicodedata.normalize("NFD", text)) == clean_label(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    "value, label",
    [
        *[("1", "1"), ("-1", "-1"), ("true", "true"), ("false", "false"), ('"1"', "1"), ("0", "0"), ('" 1 "', "1")],
        *[("1.5", "1.5"), ("1.50", "1.5"), ("1e3", "1000.0"), ("-0.0", "-0.0"), ("1.0", "1.0"), ("0.001", "0.001")],
        *[("1e7", "1.0E7"), ("-123456789.5", "-1.234567895E8"), ("0.00012", "1.2E-4"), ("1e22", "1.0E22")],
        *[("null", None), ('""', None), ("{}", None), ("[]", None), ('["a"]', None), ('"[1]"', None), ('"[a]"', "[a]")],
    ],
)
def test_a_number_or_a_boolean_is_its_text_and_an_object_is_no_label(value, label):
    data = f'{{"doc": {{"metadata": {{"superTag01": {value}}}}}}}'
    assert label_of(orjson.loads(data), "superTag01") == label


@pytest.mark.parametrize("written", ["1.57805018805929984E17", "1.5780501880593E17", "1.57805018805930E17"])
def test_a_float_has_one_label_whichever_version_of_java_wrote_it(written):
    assert clean_label(written) == label_text(157805018.80593e9) == "1.5780501880593E17"
    assert clean_label("1.0E999") == "1.0E999"  # no float is so large


def test_a_label_is_read_from_where_the_column_of_the_table_comes_from():
    metadata = {"superTag01": "one", "accountId": 7, "eventType": "other", "docId": "other"}
    event = {"eventType": "DocSchedule", "superTag01": "other", "doc": {"docId": "d1", "metadata": metadata}}
    found = [label_of(event, name) for name in ("superTag01", "accountId", "eventType", "docId", "eventSource")]
    assert found == ["one", "7", "DocSchedule", "d1", None]


@given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda one: st.dictionaries(
    st.sampled_from(["doc", "metadata", "superTag01"]), one | st.lists(one, max_size=2))))  # fmt: skip
def test_whatever_an_event_holds_it_has_a_label_or_none(value):
    event = value if isinstance(value, dict) else {"doc": value}
    label = label_of(event, "superTag01")
    assert label is None or label == label_text(event["doc"]["metadata"]["superTag01"])


def test_labels_that_differ_by_case_width_or_blanks_alone_are_named_together():
    labels = ["spam", "Spam", "SPAM", "ham", "Straße", "STRASSE", "two words", "Two\u00a0 words", "ｈａｍ", "hams"]
    together = [["SPAM", "Spam", "spam"], ["STRASSE", "Straße"], ["Two\u00a0 words", "two words"], ["ham", "ｈａｍ"]]
    assert alike(labels) == together
    assert alike(["one", "two"]) == alike([]) == []
