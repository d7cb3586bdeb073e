# The planner with the filter for sidecars, from the sources: docker build -t NAME .
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN rustup target add wasm32-wasip1 && scripts/build-filter && cargo build --release --locked -p foremesh

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/foremesh /usr/local/bin/foremesh
COPY --from=build /src/build/foremesh_filter.wasm /opt/foremesh_filter.wasm
ENTRYPOINT ["/usr/local/bin/foremesh"]
