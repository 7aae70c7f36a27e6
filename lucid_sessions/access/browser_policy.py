"""The Content-Security-Policy header, composed once for all answers that ask for nothing of their own."""

from functools import cache

from csp.constants import HEADER
from csp.middleware import CheckableLazyObject, CSPMiddleware
from csp.utils import build_policy
from django.http import HttpRequest, HttpResponseBase

# What pages and decorators of the package leave behind where one answer's policy differs from the others'.
OWN = ("_csp_config", "_csp_update", "_csp_replace", "_csp_exempt")


class BrowserPolicy(CSPMiddleware):
    """Middleware: as the package's, but cheap where no page asked for a nonce, as in all of the API."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer with its policy."""
        has_own = getattr(request, "_csp_nonce", None) is not None or HEADER in response
        if has_own or any(hasattr(response, name) for name in OWN):
            return super().process_response(request, response)
        response[HEADER] = _usual()
        # Whoever asks for a nonce now is told that it comes too late.
        request.csp_nonce = CheckableLazyObject(self._csp_nonce_post_response)  # type: ignore[attr-defined]
        return response


@cache
def _usual() -> str:
    return build_policy()
