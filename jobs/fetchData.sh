#!/bin/sh
# Makes up sales figures for the regions it is given: JSON in, JSON out.
set -eu
input=$(cat)
list=$(printf '%s' "$input" | tr -d ' \n"' | sed 's/.*regions:\[//; s/\].*//')
echo "fetching regions: $list" >&2
out=
n=1
oldifs=$IFS
IFS=,
for region in $list; do
	echo "::progress $((n * 15)) $region" >&2
	sales="[$((n * 7 % 5 + 3)),$((n * 11 % 7 + 2)),$((n * 5 % 9 + 1))]"
	out="$out${out:+,}{\"region\":\"$region\",\"sales\":$sales}"
	n=$((n + 1))
done
IFS=$oldifs
printf '{"files":[%s]}\n' "$out"
