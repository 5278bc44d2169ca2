// Package handlers holds the handlers that every worker has.
package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/job"
)

// Config says what the handlers may do.
type Config struct {
	// Disabled handlers are left out.
	Disabled []string
	// AllowPrivate lets http and download reach private addresses.
	AllowPrivate bool
	// Files are folders from which local files are taken.
	Files []string
	// Limits bound the programs that exec starts.
	Limits executable.Limits
	// MaxDownload bounds a download, in bytes; 10 GiB.
	MaxDownload int64
}

// Names are those of all handlers here, disabled or not.
func Names() []string {
	return []string{"exec", "http", "download", "sleep", "fail", "eval", "debug"}
}

// Register adds the handlers.
func Register(r *job.Registry, c Config) {
	job.Handle(r, "exec", c.exec, job.Description("runs a program, or a line of shell"))
	job.Handle(r, "http", c.http, job.Description("makes an HTTP request"))
	job.Handle(r, "download", c.download, job.Description("fetches a file from a URL, or takes a local one"))
	job.Handle(r, "sleep", sleep, job.Description("waits"))
	job.Handle(r, "fail", fail, job.Description("fails, for tests"))
	job.Handle(r, "eval", eval, job.Description("evaluates an expression"))
	job.Handle(r, "debug", debug, job.Description("logs its inputs and returns them"))
	for _, name := range c.Disabled {
		r.Remove(name)
	}
}

// Duration is written as 90s or 1h30m, or as a number of milliseconds.
type Duration time.Duration

// UnmarshalJSON reads a duration.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var ms float64
	if json.Unmarshal(data, &ms) == nil {
		*d = Duration(ms * float64(time.Millisecond))
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return errors.New("want a duration such as 90s, or a number of milliseconds")
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90s", s)
	}
	*d = Duration(v)
	return nil
}

type sleepIn struct {
	Duration Duration `json:"duration"`
}

func sleep(ctx context.Context, in sleepIn) (map[string]any, error) {
	t := time.NewTimer(time.Duration(in.Duration))
	defer t.Stop()
	select {
	case <-t.C:
		return map[string]any{"slept": time.Duration(in.Duration).String()}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

type failIn struct {
	Message   string `json:"message,omitempty"`
	Code      string `json:"code,omitempty"`
	Permanent bool   `json:"permanent,omitempty"`
	// Times, when given, is the number of attempts that fail.
	Times int `json:"times,omitempty"`
}

func fail(ctx context.Context, in failIn) (map[string]any, error) {
	if n := job.Info(ctx).Number; in.Times > 0 && n > in.Times {
		return map[string]any{"attempts": n}, nil
	}
	if in.Message == "" {
		in.Message = "failed on purpose"
	}
	err := errors.New(in.Message)
	if in.Code != "" {
		err = job.Code(err, in.Code)
	}
	if in.Permanent {
		err = job.Permanent(err)
	}
	return nil, err
}

// eval keeps flows of the first Orchis going: code is an expression, not
// JavaScript, and sees the job's own inputs as inputs.
func eval(_ context.Context, in map[string]json.RawMessage) (map[string]any, error) {
	values := make(map[string]any, len(in))
	for name, raw := range in {
		v, err := expr.Decode(raw)
		if err != nil {
			return nil, job.Permanent(err)
		}
		values[name] = v
	}
	code, ok := values["code"].(string)
	if !ok {
		return nil, job.Permanent(job.Code(errors.New("code must be the text of an expression"), "badInput"))
	}
	t, err := expr.ParseTemplate("${" + code + "}")
	if err != nil {
		return nil, job.Permanent(job.Code(err, "badInput"))
	}
	v, err := t.Eval(inputsOnly(values))
	if err != nil {
		return nil, job.Permanent(job.Code(err, "expression"))
	}
	return map[string]any{"result": v}, nil
}

// inputsOnly is a scope in which nothing but inputs can be read.
type inputsOnly map[string]any

// Root gives the inputs.
func (s inputsOnly) Root(name string) (any, bool) { return map[string]any(s), name == "inputs" }

// Job knows none.
func (s inputsOnly) Job(string) (expr.Job, bool) { return expr.Job{}, false }

// Status is always false.
func (s inputsOnly) Status(string) bool { return false }

// Now is the time of the attempt.
func (s inputsOnly) Now() time.Time { return time.Now().UTC() }

func debug(ctx context.Context, in map[string]any) (map[string]any, error) {
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if text, ok := in[name].(string); ok {
			job.Logf(ctx, "%s: %s", name, text)
			continue
		}
		raw, err := json.Marshal(in[name])
		if err != nil {
			return nil, job.Permanent(err)
		}
		job.Logf(ctx, "%s: %s", name, raw)
	}
	return in, nil
}
