#!/usr/bin/env bash
# Installs Debian's Postgres for the tests of the store on Postgres and of the import from world-postgres,
# unless there is one; needs root for that. Starts nothing. Prints the folder of its programs.
set -euo pipefail

find_programs() {
  ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1
}
if [ -z "$(find_programs)" ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo 'There is no Postgres here: install the package "postgresql", or run this as root on Debian.' >&2
    exit 1
  fi
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >&2
fi
find_programs
