# The laminar command in a small image:
#   docker build -t laminar .
#   docker run --rm -p 8545:8545 laminar node --dev --http.addr 0.0.0.0
FROM rust:1.95-bookworm AS build
# The store's C library is bound by libclang.
RUN apt-get update && apt-get install --yes --no-install-recommends clang cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /laminar
COPY . .
RUN cargo build --release --locked --package laminar-cli

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 laminar && mkdir /data && chown laminar /data
COPY --from=build /laminar/target/release/laminar /usr/local/bin/laminar
USER laminar
VOLUME /data
# HTTP, WebSocket, the Engine API, metrics.
EXPOSE 8545 8546 8551 9001
ENTRYPOINT ["laminar"]
CMD ["--help"]
