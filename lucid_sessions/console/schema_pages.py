"""The browsable API: Swagger UI and Redoc, from vendored files."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView


class Swagger(SpectacularSwaggerSplitView):
    """Swagger UI runs under the policy of every page: its script is a file, its styles too."""

    template_name = "console/swagger.html"
    url_name = "api:schema"


# Redoc writes its styles into the page while it runs (styled-components), with no way to name a nonce, and
# nothing else would show it. Scripts stay as strict as everywhere: a style is all that this lets in. The
# maker's logo would come from elsewhere; our policy stops it, as it should.
_REDOC = {"style-src": [SELF, UNSAFE_INLINE]}


@method_decorator(csp_update(_REDOC), name="dispatch")
class Redoc(SpectacularRedocView):
    """Redoc."""

    template_name = "console/redoc.html"
    url_name = "api:schema"
