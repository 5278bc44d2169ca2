package job_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/pkg/job"
)

type base struct {
	Dir string `json:"dir,omitempty"`
}

type cutIn struct {
	base
	URL   string `json:"url"`
	Count int    // its name is Count
	Inner struct {
		Deep int `json:"deep"`
	} `json:"inner,omitzero"`
	Left string `json:"-"`
}

// own reads its inputs itself.
type own struct{ all map[string]any }

func (o *own) UnmarshalJSON(raw []byte) error { return json.Unmarshal(raw, &o.all) }

// TestNamesOfInputsCountByCase, as the contracts say and encoding/json would
// not.
func TestNamesOfInputsCountByCase(t *testing.T) {
	t.Parallel()
	r := job.NewRegistry()
	job.Handle(r, "cut", func(_ context.Context, in cutIn) (cutIn, error) { return in, nil })
	job.Handle(r, "any", func(_ context.Context, in map[string]any) (int, error) { return len(in), nil })
	job.Handle(r, "own", func(_ context.Context, in own) (int, error) { return len(in.all), nil })
	job.Handle(r, "list", func(_ context.Context, in []string) (int, error) { return len(in), nil })
	for _, test := range []struct{ handler, inputs, want string }{
		{"cut", `{"url":"u","Count":2,"dir":"d","inner":{"deep":1}}`, `{"dir":"d","url":"u","Count":2,"inner":{"deep":1}}`},
		{"cut", `{}`, `{"url":"","Count":0}`},
		{"cut", `null`, `{"url":"","Count":0}`},
		{"cut", `{"URL":"u"}`, `error: the inputs do not fit: unknown field "URL" (its name is "url")`},
		{"cut", `{"url":"good","Url":"bad"}`, `error: the inputs do not fit: unknown field "Url" (its name is "url")`},
		{"cut", `{"count":1}`, `error: the inputs do not fit: unknown field "count" (its name is "Count")`},
		{"cut", `{"Dir":"d"}`, `error: the inputs do not fit: unknown field "Dir" (its name is "dir")`},
		{"cut", `{"Inner":{}, "ſ":1}`, `error: the inputs do not fit: unknown field "ſ"`},
		{"cut", `{"Inner":{}}`, `error: the inputs do not fit: unknown field "Inner" (its name is "inner")`},
		{"cut", `{"Left":"l"}`, `error: the inputs do not fit: unknown field "Left"`},
		{"cut", `{"other":1}`, `error: the inputs do not fit: unknown field "other"`},
		{"any", `{"a":1,"A":2}`, `2`},
		{"own", `{"a":1,"A":2}`, `2`},
		{"list", `["a"]`, `1`},
	} {
		h, _ := r.Lookup(test.handler)
		out, err := h.Run(t.Context(), json.RawMessage(test.inputs))
		got := string(out)
		if err != nil {
			f := job.Classify(err)
			if got = "error: " + f.Message; f.Code != "badInput" || !f.Permanent {
				t.Errorf("%s of %s fails with %+v", test.handler, test.inputs, f)
			}
		}
		if got != test.want {
			t.Errorf("%s of %s gives %s, want %s", test.handler, test.inputs, got, test.want)
		}
	}
	for _, c := range r.Contracts() { // which say the same
		if c.Name == "cut" && (!strings.Contains(string(c.Inputs), `"url"`) || !strings.Contains(string(c.Inputs), `"dir"`) || !strings.Contains(string(c.Inputs), `"Count"`) || strings.Contains(string(c.Inputs), "Left")) {
			t.Errorf("its contract is %s", c.Inputs)
		}
	}
}
