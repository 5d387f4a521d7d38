# dualbusd on Debian 12. `docker build -t dualbus .`; deploy/docker-compose.yml runs it with both buses.
#
# The image's own configuration expects the buses on 127.0.0.1 (`docker run --network host`); mount another one over
# /etc/dualbus/dualbus.yaml for anything else.

FROM debian:12 AS build
WORKDIR /src
COPY deploy/install-packages.sh deploy/
RUN deploy/install-packages.sh build
COPY CMakeLists.txt CMakePresets.json ./
COPY include include
COPY src src
RUN cmake --preset release -DDUALBUS_BUILD_TESTS=OFF \
 && cmake --build --preset release --target dualbusd dualbusctl
RUN for program in dualbusd dualbusctl; do \
      install -s -D "$(find build/release -name "$program" -type f)" "/out/$program" || exit; \
    done

FROM debian:12
COPY deploy/install-packages.sh /tmp/
RUN /tmp/install-packages.sh run \
 && rm -rf /tmp/install-packages.sh /var/lib/apt/lists/* /var/cache/apt/archives/*.deb \
 && useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dualbus
COPY deploy/healthcheck.sh /usr/local/bin/dualbus-healthcheck
COPY config/dualbus.yaml /etc/dualbus/dualbus.yaml
COPY --from=build /out/ /usr/local/bin/
# A library missing from the runtime packages stops the build here, not the container later.
RUN dualbusd --version && dualbusd --check-config /etc/dualbus/dualbus.yaml

USER dualbus
# Engines (RESP); metrics, health and status page (HTTP).
EXPOSE 6379 9121
STOPSIGNAL SIGTERM
# /healthz says that the process works; whether the buses do is /readyz, and no reason to restart the daemon.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["dualbus-healthcheck", "9121", "/healthz"]
ENTRYPOINT ["dualbusd"]
CMD ["--config", "/etc/dualbus/dualbus.yaml"]
