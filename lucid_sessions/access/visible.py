"""What counts as a text in which something is said."""

import re

# Spaces, controls, and what Unicode has for joining, turning and filling: of no width, or empty.
_UNSEEN = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
# Written so that all dialects of regular expressions agree on it: the OpenAPI document says the same.
VISIBLE_TEXT = rf"^[^\x00]*[^{_UNSEEN}][^\x00]*$"
VISIBLE = re.compile(VISIBLE_TEXT)
