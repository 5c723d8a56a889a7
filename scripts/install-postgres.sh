#!/usr/bin/env bash
# Installs Debian's Postgres for the tests of the store on Postgres and of the import from world-postgres,
# with what some of them put before it (PgBouncer, libfaketime), unless they are there; needs root for
# that. Starts nothing. Prints the folder of the server's programs.
set -euo pipefail

find_programs() {
  ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1
}
has_all() {
  [ -n "$(find_programs)" ] && [ -x /usr/sbin/pgbouncer ] &&
    compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null
}
if ! has_all; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      postgresql pgbouncer libfaketime >&2
  elif [ -z "$(find_programs)" ]; then
    echo 'There is no Postgres here: install the package "postgresql", or run this as root on Debian.' >&2
    exit 1
  fi
fi
find_programs
