# syntax=docker/dockerfile:1
# The service as a static binary, in an image that has no shell and runs as no privileged user.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules change less often than the code, so they are a layer of their own.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w" -o /out/homeroom ./cmd/homeroom && \
    make notices NOTICES=/out/THIRD_PARTY_NOTICES.txt

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/homeroom /usr/local/bin/homeroom
COPY --from=build /out/THIRD_PARTY_NOTICES.txt /usr/share/doc/homeroom/
# Inside a container loopback reaches nobody.
ENV HOMEROOM_ADDR=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/homeroom"]
CMD ["serve", "--migrate"]
