package wire

import (
	"strings"
	"testing"
)

func TestSubmission_SaysWhyItsInputsAreNoObject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a": 1}`:   "",
		" {} ":       "",
		`{"a":`:      "it ends too early",
		`{"a":1,}`:   "it is not JSON from byte 8 on",
		`{"a":1} {}`: "it is not JSON from byte 9 on",
		`[1]`:        "it is another kind of value",
		` `:          "it ends too early",
	} {
		s, err := ParseSubmission("1-1", map[string]any{"recipe": "r", "inputs": text})
		if want == "" {
			if err != nil || string(s.Inputs) != text {
				t.Errorf("%q is read as %q (%v)", text, s.Inputs, err)
			}
			continue
		}
		if err == nil || !strings.HasSuffix(err.Error(), "is not a JSON object: "+want) {
			t.Errorf("%q is refused with %v, want %s", text, err, want)
		}
	}
}

// TestSubmission_NullInputsAreNone: programs that have no inputs may write null.
func TestSubmission_NullInputsAreNone(t *testing.T) {
	t.Parallel()
	s, err := ParseSubmission("1-1", map[string]any{"recipe": "r", "inputs": " null "})
	if err != nil || s.Inputs != nil {
		t.Errorf("read as %q (%v)", s.Inputs, err)
	}
}

// BenchmarkParseEvents reads an entry with one event that has a large result.
func BenchmarkParseEvents(b *testing.B) {
	e := Event{Type: Succeeded, Run: "r", Task: "a", Fence: "f", Result: []byte(`{"payload":"` + strings.Repeat(`2025-03-01 INFO \"items/1.json\" — ok (café)\n`, 1200) + `"}`)}
	values := map[string]any{"v": Version, "worker": "w", "events": "[" + string(e.Append(nil, "w")) + "]"}
	b.ReportAllocs()
	for b.Loop() {
		if events, bad, err := ParseEvents("1-1", values); len(events) != 1 || len(bad) > 0 || err != nil {
			b.Fatal(bad, err)
		}
	}
}
