package jsontext

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// logOf is text as programs log it: lines, quotes and now and then a letter
// outside ASCII.
func logOf(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "2025-03-%02dT10:%02d:%02d.%03dZ INFO  worker-%d: fetched \"items/%d.json\" in %d ms — ok (café)\n", 1+i%28, i%60, i*7%60, i*13%1000, i%9, i*31, i%97)
	}
	return strings.ToValidUTF8(b.String()[:size], "")
}

func benchmarkSizes(b *testing.B, f func(b *testing.B, text string)) {
	b.Helper()
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		for name, text := range map[string]string{"plain": strings.Repeat("x", size), "log": logOf(size)} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				f(b, text)
			})
		}
	}
}

func quoted(text string) string { return string(AppendQuote(nil, text)) }

func BenchmarkValid(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, text string) {
		raw := quoted(text)
		for b.Loop() {
			Valid(raw)
		}
	})
}

func BenchmarkUnquote(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, text string) {
		raw := []byte(quoted(text))
		for b.Loop() {
			Unquote(raw)
		}
	})
}

func BenchmarkAppendQuote(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, text string) {
		for b.Loop() {
			AppendQuote(nil, text)
		}
	})
}

// BenchmarkEncodingJSON is what the others are compared with.
func BenchmarkEncodingJSON(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, text string) {
		raw := []byte(quoted(text))
		for b.Loop() {
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				b.Fatal(err)
			}
		}
	})
}
