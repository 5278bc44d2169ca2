#!/bin/sh
# Writes the report.
set -eu
input=$(cat | tr -d '\n')
reader=$(printf '%s' "$input" | sed 's/.*"reader":"\([^"]*\)".*/\1/')
lines=$(printf '%s' "$input" | tr '{' '\n' | sed -n 's/.*"region":"\([^"]*\)","total":\([0-9]*\).*/\1 \2/p')
echo "$lines" >&2
text=$(printf '%s' "$lines" | tr '\n' ',' | sed 's/,$//; s/,/, /g')
printf '{"text":"Hello %s! Sales: %s"}\n' "$reader" "$text"
