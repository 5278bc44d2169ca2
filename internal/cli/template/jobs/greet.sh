#!/bin/sh
# A handler: one JSON document in on standard input, one out on standard output.
# What it writes to standard error is its log.
name=$(sed -n 's/.*"name" *: *"\([^"\\]*\)".*/\1/p')
echo "greeting $name" >&2
printf '{"text": "Hello %s!"}\n' "$name"
