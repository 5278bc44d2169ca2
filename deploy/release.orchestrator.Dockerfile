# The image of a release, of programs that are built already. A test holds it
# equal to the stage orchestrator of Dockerfile, which says why.
FROM gcr.io/distroless/static-debian12:nonroot AS orchestrator
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/orchestrator $TARGETPLATFORM/orchis /usr/local/bin/
COPY recipes /project/recipes
COPY flows /project/flows
USER 10001:10001
ENV ORCHIS_PROJECT=/project ORCHIS_ARTIFACTS=/data ORCHIS_LISTEN=0.0.0.0:8420
WORKDIR /project
EXPOSE 8420
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["orchestrator", "healthcheck"]
ENTRYPOINT ["orchestrator"]
