package engine

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/run"
)

// logText is text as programs log it: lines, quotes and now and then a letter
// outside ASCII.
func logText(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "2025-03-%02dT10:%02d:%02d.%03dZ INFO  worker-%d: fetched \"items/%d.json\" in %d ms — ok (café)\n", 1+i%28, i%60, i*7%60, i*13%1000, i%9, i*31, i%97)
	}
	return strings.ToValidUTF8(b.String()[:size], "")
}

// BenchmarkPayload runs a chain of three jobs, each of which returns its inputs
// and gets a text of the result before it.
func BenchmarkPayload(b *testing.B) {
	files := []txtar.File{{Name: "flows/payload.yaml", Data: []byte(`
inputs: { payload: {} }
jobs:
  first: { job: echo, inputs: { payload: "${inputs.payload}" } }
  second: { job: echo, inputs: { payload: "${first.payload}" } }
  third: { job: echo, inputs: { payload: "${second.payload}" } }
`)}}
	for _, size := range []int{100, 4 << 10, 60 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			p := compile(b, files, Limits{})
			raw, err := expr.Encode(map[string]any{"payload": logText(size)})
			if err != nil {
				b.Fatal(err)
			}
			inputs := decode(raw).(map[string]any)
			b.SetBytes(int64(3 * size))
			b.ReportAllocs()
			for b.Loop() {
				r := New(p, Create{ID: "r", Now: 1, Inputs: inputs})
				fx := r.Step(1, 1, Event{Kind: event.Start})
				for n := uint64(2); len(fx.Tickets) > 0; n++ {
					k := fx.Tickets[0]
					fx = r.Step(2, n, Event{Kind: event.Succeeded, Task: k.Task, Fence: k.Fence, Result: k.Inputs})
				}
				if r.Record().State != run.Succeeded {
					b.Fatal("the run did not succeed")
				}
			}
		})
	}
}
