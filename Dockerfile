# syntax=docker/dockerfile:1
# One image with both programs: `amends` (coordinator and command line) and `shop` (the example).

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay with the builder; what the image needs is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --locked --release -p amends-coordinator -p shop \
    && install -D -t /out target/release/amends target/release/shop

FROM debian:12.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin amends \
    && install -d -o amends /var/lib/amends
COPY --from=build /out/amends /out/shop /usr/local/bin/
# By number, so that orchestrators can see that it is not root.
USER 10001
WORKDIR /var/lib/amends
EXPOSE 7431
CMD ["amends", "serve"]
