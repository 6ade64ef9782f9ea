# The image of the DaemonSet: agent, engine and launcher as `make install` lays them out, and nothing else, since they need
# nothing of a system. Build it with `docker build .` or `podman build .` on an amd64 machine.
FROM debian:bookworm-slim AS build
RUN apt-get -q update && apt-get -qy install --no-install-recommends make
WORKDIR /src
# What seldom changes comes first, and is kept by the builder.
COPY LICENSE Makefile requirements.txt ./
COPY tests/tools/python.txt tests/tools/python.txt
RUN make venv apt-freeze apt-launcher
COPY cni cni
COPY src src
RUN make install DESTDIR=/out && python3 cni/sbom.py requirements.txt build/dist/.slash80 > /out/sbom.cdx.json

FROM scratch
LABEL org.opencontainers.image.title="slash80" \
      org.opencontainers.image.description="A Kubernetes CNI plugin: a public IPv6 and an IPv4 for every pod" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only AND LGPL-2.1-or-later" \
      io.slash80.sbom="/usr/share/slash80/sbom.cdx.json"
COPY --from=build /out/opt/cni/bin /opt/cni/bin
COPY --from=build /out/sbom.cdx.json /usr/share/slash80/
# For kubectl exec: `slash80 status`, `nft list ruleset`.
ENV PATH=/opt/cni/bin:/opt/cni/bin/.slash80
ENTRYPOINT ["/opt/cni/bin/.slash80/engine"]
