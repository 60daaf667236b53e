# syntax=docker/dockerfile:1
# The service as a static binary, in an image that has no shell and runs as no privileged user.

# The scripts of the pages.
FROM node:22-bookworm-slim AS pages
WORKDIR /src/ui
COPY ui/package.json ui/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY ui ./
COPY docs/openapi.json ../docs/
RUN npm run types && npm run build

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules change less often than the code, so they are a layer of their own.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
COPY --from=pages /src/ui/dist ui/dist
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make release OUT=/out/homeroom && make notices NOTICES=/out/THIRD_PARTY_NOTICES.txt

# The Auth0 simulator, which is in no image that serves: docker build --target development.
FROM build AS build-development
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 make build

FROM gcr.io/distroless/static-debian12:nonroot AS development
COPY --from=build-development /src/bin/homeroom /usr/local/bin/homeroom
ENTRYPOINT ["/usr/local/bin/homeroom"]

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/homeroom /usr/local/bin/homeroom
COPY --from=build /out/THIRD_PARTY_NOTICES.txt /usr/share/doc/homeroom/
# Inside a container loopback reaches nobody.
ENV HOMEROOM_ADDR=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/homeroom"]
CMD ["serve", "--migrate"]
