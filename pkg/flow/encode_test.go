package flow

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

func TestEncodeWritesYAMLInTheOrderOfTheFields(t *testing.T) {
	t.Parallel()
	v := struct {
		Zone  string         `json:"zone"`
		Count int            `json:"count"`
		Texts []string       `json:"texts"`
		None  []int          `json:"none"`
		Map   map[string]any `json:"map"`
	}{"a <b> & c", 3, []string{"true", "1", "~", "x\ny\n", ""}, []int{}, map[string]any{"b": nil, "a": 1.5}}
	var out strings.Builder
	if err := Encode(&out, v); err != nil {
		t.Fatal(err)
	}
	want := "zone: a <b> & c\ncount: 3\ntexts:\n  - \"true\"\n  - \"1\"\n  - \"~\"\n  - |\n    x\n    y\n  - \"\"\nnone: []\nmap:\n  a: 1.5\n  b: null\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestEncodedTextsComeBack: whatever a text looks like, YAML reads it as the
// same text.
func TestEncodedTextsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~\n\t\x{80}-\x{ff}\x{1F600}:#\-'"]{0,30}`).Draw(t, "text")
		var out strings.Builder
		if err := Encode(&out, map[string]any{"v": text}); err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if err := yaml.Unmarshal([]byte(out.String()), &back); err != nil {
			t.Fatalf("%v of\n%s", err, out.String())
		}
		raw, _ := json.Marshal(text)
		if back["v"] != text {
			t.Fatalf("%s comes back as %q from\n%s", raw, back["v"], out.String())
		}
	})
}
