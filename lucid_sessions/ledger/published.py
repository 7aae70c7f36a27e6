"""Reading signed checkpoints from files: the published one, and the sealer's pin."""

from pathlib import Path

from lucid_sessions.archive import Checkpoint, open_checkpoint
from lucid_sessions.durable import blaming
from lucid_sessions.errors import Tampered


def read_checkpoint(path: Path, vkey: str) -> tuple[str, Checkpoint] | None:
    """The signed note in this file and its checkpoint, verified by vkey; None if there is no file."""
    with blaming("read", path):
        try:
            note = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        text = note.decode()
        return text, open_checkpoint(text, vkey)
    except (UnicodeDecodeError, Tampered) as error:
        raise Tampered(f"{path} is not a checkpoint that this log's key signed: {error}") from error
