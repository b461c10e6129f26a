# The example applications and the tool `kstreams`, in a small image: no compiler, no root.
#
#   docker build -t kstreams .                    about 15 minutes the first time (RocksDB, librdkafka)
#   docker run --rm kstreams                      word count on the embedded log
#   docker run --rm --entrypoint kstreams kstreams --help
#
# Your own application: the same file with your package and its program as entry point.
FROM rust:1.88-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends clang libclang-dev cmake pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# TLS towards the brokers comes with its own OpenSSL: the image below has none.
RUN cargo build --release --locked -p streams-examples -p streams-cli --features streams-examples/ssl-vendored,streams-cli/ssl-vendored \
    && mkdir /out \
    && cp target/release/word_count target/release/order_enrichment target/release/page_views target/release/kstreams /out/

FROM debian:bookworm-slim
# curl is for the probes of Kubernetes, which ask inside of the pod.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/kstreams --create-home --shell /usr/sbin/nologin kstreams
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
VOLUME /var/lib/kstreams
# The program commits and closes on SIGTERM; `docker stop --time 30` gives it the time.
STOPSIGNAL SIGTERM
ENTRYPOINT ["word_count"]
CMD ["--state-dir", "/var/lib/kstreams"]
