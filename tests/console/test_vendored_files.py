"""What we ship of others is what they published."""

import hashlib
import re
from pathlib import Path

import lucid_sessions.console

VENDORED = Path(lucid_sessions.console.__file__).parent / "static" / "console" / "vendor"


def test_vendored_files_have_the_sums_that_their_notes_name() -> None:
    for note in VENDORED.glob("*/README.md"):
        named = dict(re.findall(r"^\| (\S+) \| `([0-9a-f]{64})` \|$", note.read_text(), re.M))
        found = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in note.parent.iterdir()
            if path != note
        }
        assert named == found
        assert "LICENSE" in found
    assert (VENDORED / "hls.js" / "README.md").is_file()
