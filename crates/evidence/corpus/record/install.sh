#!/usr/bin/env bash
# Installs every client into a folder: install.sh FOLDER. Needs the registries, node, python3, go,
# a JDK with Maven, cargo, and root for the Debian packages (without it they are left as they are).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=${1:?install.sh FOLDER}
mkdir -p "$to"/{npm/prisma,npm/migrations,pypi,go,maven,crates/src}
calm="nice -n 10"

if [ "$(id -u)" = 0 ]; then
  DEBIAN_FRONTEND=noninteractive $calm apt-get install -qy --no-install-recommends $(cat "$here/debian.txt")
fi

cp "$here/clients.mjs" "$to/npm/"
(
  cd "$to/npm"
  [ -f package.json ] || echo '{"private":true,"type":"module"}' > package.json
  $calm npm install --no-audit --no-fund --ignore-scripts --loglevel=error $(cat "$here/npm.txt")
  # Prisma's client is generated. Its schema engine, a separate download, has no part in that.
  cp "$here/schema.prisma" prisma/
  PRISMA_SCHEMA_ENGINE_BINARY=/bin/true npx prisma generate --schema prisma/schema.prisma
)

[ -x "$to/pypi/bin/pip" ] || python3 -m venv "$to/pypi"
$calm "$to/pypi/bin/pip" install -q --prefer-binary --disable-pip-version-check -r "$here/pypi.txt"
cp "$here/clients.py" "$to/pypi/"

cp "$here/clients.go" "$to/go/"
(
  cd "$to/go"
  [ -f go.mod ] || go mod init recorded
  $calm go get $(cat "$here/go.txt")
  $calm go mod tidy
  CGO_ENABLED=0 $calm go build -p 2 -trimpath -ldflags '-s -w' -o clients .
)

cp "$here/pom.xml" "$here/Clients.java" "$to/maven/"
(
  cd "$to/maven"
  $calm mvn -B -q dependency:build-classpath -Dmdep.outputFile=cp.txt
  $calm javac -nowarn -cp "$(cat cp.txt)" -d . Clients.java
)

cp "$here/crates.toml" "$to/crates/Cargo.toml"
cp "$here/clients.rs" "$to/crates/src/main.rs"
(cd "$to/crates" && CARGO_TARGET_DIR=target $calm cargo build --quiet)
