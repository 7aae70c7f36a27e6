"""How many messages wait in each of the broker's queues. They are hints: the truth is in the database."""

from django.conf import settings

from .lifecycle import OTHER_QUEUES, STAGES
from .models import Take

PATIENCE_SECONDS = 1.0


def depths() -> dict[str, int]:
    """Messages by queue; a stage's queues on several hosts count together. Empty while Redis is away.

    Who asks waits for Redis by no more than a second or two, however it hangs.
    """
    import redis

    names = {stage: [stage] for stage in (*STAGES, *OTHER_QUEUES)}
    if settings.LUCID_QUEUE_PER_SPOOL:
        spools = set(Take.objects.order_by().values_list("spool", flat=True).distinct())
        for stage in STAGES.values():
            names[stage.name] += [f"{stage.name}.{spool}" for spool in spools if stage.needs_spool]
    patience = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **patience) as client:
            return {stage: sum(int(client.llen(one)) for one in queues) for stage, queues in names.items()}
    except redis.RedisError:
        return {}
