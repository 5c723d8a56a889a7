#!/usr/bin/env bash
# Installs Debian's sqlite3 command for the tests in which another program opens the database, unless
# there is one; needs root for that. Prints the path of the command.
set -euo pipefail

if ! command -v sqlite3 >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo 'There is no sqlite3 here: install the package "sqlite3", or run this as root on Debian.' >&2
    exit 1
  fi
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends sqlite3 >&2
fi
command -v sqlite3
