"""The browsable API: Swagger UI and Redoc, from vendored files."""

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView


class Swagger(SpectacularSwaggerSplitView):
    """Swagger UI runs under the policy of every page: its script is a file, its styles too."""

    template_name = "console/swagger.html"
    url_name = "api:schema"


# Redoc writes its styles into the page while it runs, and names the nonce that console/redoc.js tells it. But
# those of its scrollbar come before it is told: an empty element first, then these very styles. The maker's
# logo would come from elsewhere; our policy stops it, as it should.
_SCROLLBAR = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
)


@method_decorator(csp_update({"style-src": _SCROLLBAR}), name="dispatch")
class Redoc(SpectacularRedocView):
    """Redoc."""

    template_name = "console/redoc.html"
    url_name = "api:schema"
