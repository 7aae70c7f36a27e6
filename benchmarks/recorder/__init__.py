"""What recording costs, beside `ffmpeg -f x11grab` at the same settings."""
