"""A real RTSP server (GStreamer's), run by the system's Python: `media_server.py PORT FILE [USER PASSWORD]`.

It plays the file over and over at `/live`: H.264 with sound, or single JPEG pictures when it is a `.mov`.
Prints `ready` once it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 -- versions are chosen first

Gst.init(None)


class Film(GstRtspServer.RTSPMediaFactory):
    """The file as a stream that all viewers share."""

    def __init__(self, path):
        super().__init__()
        demux = f"filesrc location={path} ! qtdemux name=d"
        video = "d.video_0 ! queue ! rtph264pay name=pay0 pt=96"
        audio = "d.audio_0 ! queue ! rtpmp4gpay name=pay1 pt=97"
        if path.endswith(".mov"):
            video, audio = "d.video_0 ! queue ! jpegparse ! rtpjpegpay name=pay0 pt=26", ""
        self.set_launch(f"( {demux} {video} {audio} )")
        self.set_shared(True)


def main():
    port, path, *account = sys.argv[1:]
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    film = Film(path)
    if account:
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*account), token)
        server.set_auth(auth)
        film.add_role_from_structure(
            Gst.Structure.from_string("viewer, media.factory.access=true, media.factory.construct=true")[0]
        )
    server.get_mount_points().add_factory("/live", film)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
