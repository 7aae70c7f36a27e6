"""Thumbs of what is taken over without decoding it: only the key frame of each segment is decoded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from recorder.errors import DiskFull, SpoolUnwritable
from recorder.samples import Samples
from recorder.take import Take
from recorder.thumb import ThumbTrack
from recorder.upright import upright

if TYPE_CHECKING:
    from recorder.screen import Picture

log = logging.getLogger("recorder")


class KeyThumbs:
    """One take's thumbs. Whatever befalls them, the recording goes on.

    What a thumb says to have changed is how much its picture differs from the thumb before: the pictures in
    between are not looked at. `since_us` is where an earlier take's thumbs end.
    """

    def __init__(self, take: Take, *, width: int | None, since_us: int = 0) -> None:
        self._take, self._width, self._since_us = take, width, since_us
        self._track: ThumbTrack | None = None
        self._samples = Samples()
        self.trouble: DiskFull | SpoolUnwritable | None = None

    def passed(self, packet: Packet[Any], at_us: int, *, cut: bool) -> None:
        """A packet of the screen, before anything about it is changed; with `cut` it begins a segment."""
        if self._width is None or self.trouble is not None or at_us < self._since_us:
            return
        try:
            if cut or (self._track is None and packet.is_keyframe):
                self._begin(packet, at_us)
            elif self._track is not None:
                self._track.skipped()
        except (DiskFull, SpoolUnwritable) as trouble:
            self.trouble = trouble
        except (FFmpegError, ValueError) as error:
            log.warning("A picture could not be made small: %s", error)

    def close(self, end_us: int) -> None:
        """The epoch is over."""
        track, self._track = self._track, None
        if track is not None and self.trouble is None:
            try:
                track.close(end_us)
            except (DiskFull, SpoolUnwritable) as trouble:
                self.trouble = trouble

    def _begin(self, packet: Packet[Any], at_us: int) -> None:
        if self._track is None:
            self._track = ThumbTrack(self._take, width=self._width or 0)
        self._track.cut(at_us)
        self._track.look(at_us)
        self._track.shown(self._samples.look(_picture(packet)))


def _picture(packet: Packet[Any]) -> Picture:
    """The key frame in a packet."""
    context = packet.stream.codec_context
    assert isinstance(context, VideoCodecContext)  # noqa: S101 -- the screen is made of pictures
    if not context.is_open:
        context.thread_count = 1
    # An edit list may say that it is not to be shown, and it would not be decoded: the recording shows it.
    shown = Packet(bytes(packet)) if packet.is_discard else packet
    frames = [*context.decode(shown), *context.decode(None)]
    context.flush_buffers()
    if not frames:
        raise ValueError("its key frame cannot be decoded")
    return np.ascontiguousarray(upright(frames[0], pixels="bgra"))
