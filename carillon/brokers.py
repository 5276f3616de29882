"""The brokers that the settings name."""

from carillon.settings import NotConfigured, Settings
from infra.kafka.connection import KafkaOptions


def brokers_of(settings: Settings) -> KafkaOptions:
    """Returns how to reach the brokers.

    Raises:
        NotConfigured: the settings name none.
    """
    if settings.kafka_servers is None:
        raise NotConfigured("This needs CARILLON_KAFKA_SERVERS.")
    return KafkaOptions(
        servers=settings.kafka_servers,
        ca_file=settings.kafka_ca_file,
        cert_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
    )
