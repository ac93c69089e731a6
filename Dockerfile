# One image with the three programs; Compose runs it three times with different commands, and a worker with
# handlers of its own derives from it (`FROM warren`, see examples/python and examples/node).

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# The registry and the compiled dependencies stay in BuildKit's cache between builds, so a change in the code
# compiles the code alone. The cache is not part of the image: what is needed from it is copied out.
# Locked, for several services may build this at the same time. Touched, for cargo goes by the files' times, and the
# cache may come from a younger build of another clone.
RUN --mount=type=cache,id=warren-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=warren-target,target=/src/target,sharing=locked \
    find . -name '*.rs' -not -path './target/*' -exec touch {} + \
 && CARGO_PROFILE_RELEASE_STRIP=symbols \
    cargo build --release --locked -p warren-producer -p warren-worker -p warren-monitor \
 && mkdir /out \
 && cp target/release/warren-producer target/release/warren-worker target/release/warren-monitor /out/

FROM debian:trixie-slim
# For amqps://, rediss:// and https handlers. The user's number is fixed, so that a mounted folder can be given
# to it from outside.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && useradd --uid 10001 --user-group --create-home --home-dir /home/warren --shell /usr/sbin/nologin warren
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
WORKDIR /home/warren
# Gateway, worker and monitor listen on 8081, 8082 and 8080, on the loopback unless WARREN_HTTP__LISTEN says otherwise.
CMD ["warren-worker"]
