package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Seed is the outcome of a task that a run may take over from an earlier one.
type Seed struct {
	// Digest says what the task was asked to do, Run in which run it ran.
	Digest string          `json:"digest"`
	Run    string          `json:"run"`
	Result json.RawMessage `json:"result,omitempty"`
	// Blob names a large result, in Redis only.
	Blob string `json:"blob,omitempty"`
}

// Cached is a result that is kept for other runs.
type Cached struct {
	Key     string `json:"key"`
	Run     string `json:"run"`
	Task    string `json:"task"`
	Handler string `json:"handler"`
	// Version is that of the handler, when it has one.
	Version string          `json:"version,omitempty"`
	At      int64           `json:"at"` // Unix milliseconds
	Result  json.RawMessage `json:"result"`
	// Expires is when it goes, in Unix milliseconds.
	Expires int64 `json:"expires"`
}

// Retry says how a run goes on from an earlier one.
type Retry struct {
	// From is a job that runs again with everything after it.
	From string `json:"from,omitempty"`
}

// parseRetry reads the field retry of a submission: a JSON object, or the word
// failed for an empty one.
func parseRetry(text string) (*Retry, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nil is no retry
	}
	if text == "failed" {
		return &Retry{}, nil
	}
	r := &Retry{}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("the field retry is neither the word failed nor a JSON object such as {\"from\": \"job\"}: %w", err)
	}
	return r, nil
}

// Plain writes JSON with the letters as they are, so that a result in it keeps
// its bytes.
func Plain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// checkSources refuses submissions that say twice, or not at all, what is to
// run.
func (s *Submission) checkSources(inputs bool) error {
	switch {
	case s.Recipe == "" && s.Definition == "" && s.From == "":
		return errors.New("the submission has neither recipe nor definition")
	case s.Retry != nil && s.From == "":
		return errors.New("the submission has retry without from: from names the run that is tried again")
	case s.Retry != nil && s.Recipe != "":
		return errors.New("the submission has retry with recipe: another definition is given by its text, in definition")
	case s.Retry == nil && s.From != "" && (s.Recipe != "" || s.Definition != "" || inputs):
		return errors.New("the submission takes definition and inputs from another run, so it has none of its own (add retry to change them)")
	case s.Recipe != "" && s.Definition != "":
		return errors.New("the submission has both recipe and definition")
	}
	return nil
}
