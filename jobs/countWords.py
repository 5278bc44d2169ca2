#!/usr/bin/env python3
"""Counts the words of a text: inputs as JSON on stdin, the result on stdout."""
import json
import re
import sys

inputs = json.load(sys.stdin)
text = inputs.get("text")
if not isinstance(text, str):
    # A retry would not help: say so.
    print("::error code=badInput permanent the input text is missing", file=sys.stderr)
    sys.exit(1)

words = re.findall(r"[^\W\d_]+", text.lower())
counts = {}
for n, word in enumerate(words, 1):
    counts[word] = counts.get(word, 0) + 1
    if n % 1000 == 0:
        print(f"::progress {100 * n / len(words):.0f} {n} words", file=sys.stderr)

top = sorted(counts, key=lambda w: (-counts[w], w))[: int(inputs.get("top", 3))]
print(f"{len(words)} words, {len(counts)} different ones", file=sys.stderr)
json.dump({"words": len(words), "top": [{"word": w, "count": counts[w]} for w in top]}, sys.stdout)
