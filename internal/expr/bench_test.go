package expr

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkTemplate evaluates what inputs of jobs mostly are: a value as it is,
// one within a text, and a calculation.
func BenchmarkTemplate(b *testing.B) {
	scope := testWorld()
	for name, text := range map[string]string{
		"value": "${fetch.file}", "text": "${fetch.file} is one of ${inputs.n}", "calculation": "${inputs.n + 1 > 3 ? first(inputs.list) : last(inputs.list)}",
	} {
		b.Run(name, func(b *testing.B) {
			t, err := ParseTemplate(text)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := t.Eval(scope); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// logText is text as programs log it: lines, quotes and now and then a letter
// outside ASCII.
func logText(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "2025-03-%02dT10:%02d:%02d.%03dZ INFO  worker-%d: fetched \"items/%d.json\" in %d ms — ok (café)\n", 1+i%28, i%60, i*7%60, i*13%1000, i%9, i*31, i%97)
	}
	return strings.ToValidUTF8(b.String()[:size], "")
}

// benchmarkSizes measures results of three sizes: a payload with a few small
// values beside it.
func benchmarkSizes(b *testing.B, f func(b *testing.B, raw []byte)) {
	b.Helper()
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		for _, kind := range []struct{ name, text string }{{"plain", strings.Repeat("x", size)}, {"log", logText(size)}} {
			raw, err := Encode(map[string]any{"code": 0, "payload": kind.text, "seconds": 1.25, "tags": []any{"a", "b"}})
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%d", kind.name, size), func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				b.ReportAllocs()
				f(b, raw)
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, raw []byte) {
		for b.Loop() {
			if _, err := Decode(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, raw []byte) {
		v, err := Decode(raw)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := Encode(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
