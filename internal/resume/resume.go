// Package resume makes a run out of an earlier one: it finds out what that has
// done, what has changed since, and what the new run may take over.
package resume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Source is where runs stand.
type Source interface {
	// Load returns a run, Definition a frozen definition; wire.ErrNotFound when
	// there is none.
	Load(ctx context.Context, id string) (*wire.Stored, error)
	Definition(ctx context.Context, p int, digest string) ([]byte, error)
	PartitionOf(id string) int
}

// ProblemError is what cannot be done, and why: the asker's to mend.
type ProblemError struct{ Text string }

// Error returns the reason.
func (p *ProblemError) Error() string { return p.Text }

// Run is an earlier run.
type Run struct {
	engine.Snapshot
	Bundle *flow.Bundle
}

// Changes say in what the new run differs.
type Changes struct {
	// Definition takes the place of the old one; nil does not.
	Definition *flow.Bundle
	// Inputs are put over the old ones.
	Inputs map[string]any
	// From is a job that runs again, with everything after it.
	From string
}

// Next is the new run.
type Next struct {
	Bundle *flow.Bundle
	Inputs map[string]any
	Seeds  map[string]engine.Seed
}

// Snapshot reads the records of a run.
func Snapshot(id string, p int, stored *wire.Stored) (engine.Snapshot, error) {
	s := engine.Snapshot{Tasks: make(map[string]run.Task, len(stored.Tasks)), Outputs: make(map[string]json.RawMessage, len(stored.Outputs))}
	var err error
	if s.Run, err = run.Parse(id, p, stored.Run); err != nil {
		return s, err
	}
	for path, text := range stored.Tasks {
		task, err := run.ParseTask(path, text)
		if err != nil {
			return s, err
		}
		if task.Result != nil {
			s.Outputs[path], task.Result = task.Result, nil
		}
		s.Tasks[path] = task
	}
	for path, text := range stored.Outputs {
		s.Outputs[path] = json.RawMessage(text)
	}
	if len(stored.Seeds) > 0 {
		s.Seeds = make(map[string]engine.Seed, len(stored.Seeds))
	}
	for path, seed := range stored.Seeds {
		s.Seeds[path] = engine.Seed{Digest: seed.Digest, Run: seed.Run, Result: seed.Result}
	}
	return s, nil
}

// Read reads a run that has ended. One that is not there, or has not ended,
// gives a *ProblemError.
func Read(ctx context.Context, from Source, id string) (*Run, error) {
	p := from.PartitionOf(id)
	stored, err := from.Load(ctx, id)
	if errors.Is(err, wire.ErrNotFound) {
		return nil, &ProblemError{fmt.Sprintf("there is no run %q, or no longer", id)}
	}
	if err != nil {
		return nil, err
	}
	old := &Run{}
	if old.Snapshot, err = Snapshot(id, p, stored); err != nil {
		return nil, err
	}
	if !old.Run.State.Final() {
		return nil, &ProblemError{fmt.Sprintf("run %s has not ended: it is %s; wait for it, or cancel it first", id, old.Run.State)}
	}
	raw, err := from.Definition(ctx, p, old.Run.Definition)
	if err != nil {
		return nil, err
	}
	old.Bundle, err = flow.DecodeBundle(raw)
	return old, err
}

// Next says what the new run is. Inputs that do not fit, and a job that is not
// there, give a *ProblemError.
func (o *Run) Next(c Changes, now time.Time) (*Next, error) {
	n := &Next{Bundle: o.Bundle}
	if c.Definition != nil {
		n.Bundle = c.Definition
	}
	v, err := expr.Decode(o.Run.Inputs)
	if err != nil {
		return nil, fmt.Errorf("read the inputs of run %s: %w", o.Run.ID, err)
	}
	n.Inputs, _ = v.(map[string]any)
	if c.Definition != nil || len(c.Inputs) > 0 {
		if n.Inputs, err = over(n.Bundle.RootFlow(), n.Inputs, c.Inputs, now); err != nil {
			return nil, err
		}
	}
	if c.From != "" && !engine.HasJob(n.Bundle, c.From) {
		return nil, &ProblemError{fmt.Sprintf("there is no job %q to begin from; jobs of nested flows are named as in flow/job", c.From)}
	}
	n.Seeds = engine.Seeds(o.Snapshot, c.From)
	return n, nil
}

// over puts inputs over those of the earlier run, as far as the definition
// still has them, and has the declarations check all.
func over(f *flow.Flow, old, now map[string]any, at time.Time) (map[string]any, error) {
	given := map[string]any{}
	for i := range f.Inputs {
		if v, there := old[f.Inputs[i].Name]; there && !f.Inputs[i].Constant {
			given[f.Inputs[i].Name] = v
		}
	}
	if f.OpenInputs {
		maps.Copy(given, old)
	}
	maps.Copy(given, now)
	inputs, problems := f.ResolveInputs(given, at)
	if len(problems) == 0 {
		return inputs, nil
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.Error())
	}
	return nil, &ProblemError{strings.Join(lines, "\n")}
}

// Limits returns the limits of the installation, as its orchestrators have
// stored them; the usual ones when none has.
func Limits(ctx context.Context, from interface {
	Limits(ctx context.Context) ([]byte, error)
},
) (engine.Limits, error) {
	var limits engine.Limits
	raw, err := from.Limits(ctx)
	if err == nil && raw != nil {
		err = json.Unmarshal(raw, &limits)
	}
	return limits, err
}

// Plan returns what the new run would do under the limits of the installation.
func (o *Run) Plan(n *Next, limits engine.Limits, now time.Time) ([]engine.Verdict, error) {
	old, err := engine.Compile(o.Bundle, limits)
	if err != nil {
		return nil, err
	}
	next, err := engine.Compile(n.Bundle, limits)
	if err != nil {
		return nil, &ProblemError{err.Error()}
	}
	return engine.Plan(old, o.Snapshot, next, engine.Create{
		ID: "plan", Inputs: n.Inputs, SubmittedBy: o.Run.SubmittedBy, Labels: o.Run.Labels, Now: now.UnixMilli(), Seeds: n.Seeds,
	}), nil
}
