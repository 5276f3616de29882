"""What the brokers have of the topics that we need."""

from collections.abc import Collection, Mapping

from aiokafka.admin import AIOKafkaAdminClient

from infra.kafka.connection import KafkaOptions, speaking_of_connections


async def partitions(options: KafkaOptions, topics: Collection[str]) -> Mapping[str, int]:
    """Returns how many partitions each topic has; 0 where there is none of the name.

    Raises:
        OSError: the brokers do not answer, or refuse.
    """
    with speaking_of_connections():
        admin = AIOKafkaAdminClient(**options.arguments())
        try:
            await admin.start()
            described = await admin.describe_topics(sorted(topics))
        finally:
            await admin.close()
    return {each["topic"]: len(each["partitions"]) for each in described}
