# The image of a release, of programs that are built already. A test holds it
# equal to the stage worker of Dockerfile, which says why.
FROM debian:12-slim AS worker
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl ffmpeg jq python3 sqlite3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --create-home orchis \
 && install -d -o orchis -g orchis /data
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/worker $TARGETPLATFORM/orchis /usr/local/bin/
COPY jobs /project/jobs
USER 10001:10001
ENV ORCHIS_PROJECT=/project ORCHIS_ARTIFACTS=/data ORCHIS_WORKER_LISTEN=0.0.0.0:8421
WORKDIR /project
EXPOSE 8421
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["worker", "healthcheck"]
ENTRYPOINT ["worker"]
