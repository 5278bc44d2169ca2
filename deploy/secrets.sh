#!/bin/sh
# secrets.sh FILE NAME... writes a random value for each name into a file of
# settings that only its owner can read. What stands there already stays.
set -eu
file=$1
shift
umask 077
for name in "$@"; do
	if ! grep -qs "^$name=." "$file"; then
		if [ -n "$(tail -c 1 "$file" 2>/dev/null)" ]; then echo >>"$file"; fi
		printf '%s=%s\n' "$name" "$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" >>"$file"
	fi
done
