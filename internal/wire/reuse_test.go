package wire

import (
	"strings"
	"testing"
)

func TestASubmissionThatTriesAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fields map[string]any
		from   string // of the retry
		err    string
	}{
		"a word":                      {fields: map[string]any{"from": "r", "retry": "failed"}},
		"an object":                   {fields: map[string]any{"from": "r", "retry": `{"from":"a/b"}`}, from: "a/b"},
		"with inputs and definition":  {fields: map[string]any{"from": "r", "retry": "{}", "input.x": "1", "definition": "jobs: {}"}},
		"without a run":               {fields: map[string]any{"recipe": "r", "retry": "{}"}, err: "retry without from"},
		"with a recipe":               {fields: map[string]any{"from": "r", "recipe": "r", "retry": "{}"}, err: "retry with recipe"},
		"a typing mistake":            {fields: map[string]any{"from": "r", "retry": `{"form":"a"}`}, err: `unknown field "form"`},
		"no JSON":                     {fields: map[string]any{"from": "r", "retry": "yes"}, err: "neither the word failed nor"},
		"changes to a run, no retry":  {fields: map[string]any{"from": "r", "input.x": "1"}, err: "add retry"},
		"neither recipe nor the like": {fields: map[string]any{"noCache": "1"}, err: "neither recipe nor definition"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseSubmission("1-1", test.fields)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error is %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil || s.Retry == nil || s.Retry.From != test.from {
				t.Errorf("submission is %+v (%+v), %v", s, s.Retry, err)
			}
		})
	}
}
