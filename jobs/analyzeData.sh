#!/bin/sh
# Adds up the sales of one region.
set -eu
input=$(cat | tr -d ' \n')
region=$(printf '%s' "$input" | sed 's/.*"region":"\([^"]*\)".*/\1/')
sales=$(printf '%s' "$input" | sed 's/.*"sales":\[\([^]]*\)\].*/\1/' | tr , ' ')
total=0
for n in $sales; do total=$((total + n)); done
echo "$region sold $total" >&2
printf '{"region":"%s","total":%s}\n' "$region" "$total"
