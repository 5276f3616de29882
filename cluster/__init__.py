"""The distributed profile on one machine: real daprd and Kafka, for development and tests.

Part of the repository, not of the wheel. In this order:

    kafka = Kafka(folder / "kafka")                       # cluster.broker
    await kafka.start()
    await kafka.create_topics({topic: 12 for topic in Topic})
    resources = write(folder / "dapr", kafka_servers=kafka.servers, settings={...})
    sentry = Sentry(folder / "sentry", config=resources.config)
    await sentry.start()
    sidecar = Sidecar(app.id, app.port, folder=folder / app.id, resources=resources, sentry=sentry)
    await sidecar.start()                                 # the app can publish
    await sidecar.ready()                                 # the app is up, and delivered to

Each can be stopped, killed and started again on its ports; a `Proxy` between any two breaks what
passes. Broker and database have to answer before a sidecar starts: without them daprd ends.
"""
