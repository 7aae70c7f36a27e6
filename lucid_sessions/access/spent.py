"""What works once: refresh tokens, one-time addresses."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from .models import RevokedToken

# Whoever found it good, and stood still before it was spent, must not find that it never was.
REMEMBERED = timedelta(days=1)


def spend(name: str, *, until: datetime) -> bool:
    """True when it was spent by this call: one insert decides, so of two at once only one wins."""
    RevokedToken.objects.filter(expires_at__lt=timezone.now() - REMEMBERED).delete()
    try:
        with transaction.atomic():
            RevokedToken.objects.create(jti=name, expires_at=until)
    except IntegrityError:
        return False
    return True
