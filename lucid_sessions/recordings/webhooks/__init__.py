"""Telling others what happened: where to, signed how, sent how, with what outcome. Begin at `deliveries`."""
