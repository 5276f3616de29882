# One image for every process: the command says which (serve, worker, relay, migrate, ...).
#
#     docker build --tag carillon:local .
#     docker run --publish 8000:8000 --volume carillon:/var/lib/carillon carillon:local

FROM node:22-slim AS playground
WORKDIR /playground
COPY playground/package.json playground/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY playground .
RUN npm run build

FROM python:3.13-slim AS packages
WORKDIR /build
RUN python -m venv /venv
COPY requirements.txt .
# Wheels only, so that nothing has to be compiled, each with its hash.
RUN /venv/bin/python -m pip install --no-cache-dir --no-deps --only-binary :all: \
    --require-hashes --requirement requirements.txt \
    && /venv/bin/python -m pip uninstall --yes pip

FROM python:3.13-slim
# A name for the number, which PostgreSQL insists on; the number, which Kubernetes insists on.
RUN echo "carillon:x:10001:10001::/var/lib/carillon:/usr/sbin/nologin" >> /etc/passwd \
    && echo "carillon:x:10001:" >> /etc/group \
    && install --directory --owner 10001 --group 10001 /var/lib/carillon
COPY --from=packages /venv /venv
WORKDIR /app
COPY carillon carillon
COPY domain domain
COPY infra infra
COPY resolvers resolvers
COPY schema schema
COPY workers workers
COPY --from=playground /playground/dist playground/dist
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    CARILLON_DATA_DIR=/var/lib/carillon
# The database's folder when there is no CARILLON_DATABASE_URL; else nothing is written.
VOLUME /var/lib/carillon
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["python", "-m", "carillon"]
CMD ["serve", "--host", "0.0.0.0"]
