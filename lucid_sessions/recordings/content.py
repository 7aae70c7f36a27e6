"""What a segment's bytes say of themselves, once they are what the file's name says."""

from typing import Any

from recorder.errors import RecorderError
from recorder.input import pressed_in
from recorder.lines import check_lines

from . import setbacks
from .models import Chunk


def facts_of(chunk: Chunk, raw: bytes) -> dict[str, Any]:
    """Columns of the chunk's row that follow from its bytes; Final when they are not what the name says."""
    try:
        if chunk.path.endswith(".mp4"):
            return _of_media(chunk, raw)
        if chunk.path.endswith(".jsonl"):
            check_lines(raw, start_us=chunk.start_us, end_us=chunk.end_us)
            return {"activity": float(pressed_in(raw))}
        if chunk.path.endswith(".webp"):
            from recorder.thumb import read_thumb

            thumb = read_thumb(raw)
            return {"frames": thumb.frames, "activity": thumb.changed}
    except RecorderError as error:
        raise setbacks.Final(f"{chunk.path}: {error}") from error
    return {}


def _of_media(chunk: Chunk, raw: bytes) -> dict[str, Any]:
    # FFmpeg's libraries and numpy are 40 MB in memory, for those that look into pictures.
    from recorder.export import split_init
    from recorder.probe import probe

    found, init = probe(raw), split_init(raw)[0]
    if chunk.track == "screen" and not found.starts_with_key:
        raise setbacks.Final(f"{chunk.path} does not begin with a key frame.")
    return {"frames": found.frames, "init_length": len(init)}
