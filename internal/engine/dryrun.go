package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Action says what becomes of a task when a run is tried again.
type Action string

// What can become of a task.
const (
	ActionReuse   Action = "reused"    // its result is taken over
	ActionAgain   Action = "run again" // it was there before
	ActionNew     Action = "new"       // it was not
	ActionRemoved Action = "removed"   // the definition has it no more
	ActionSkip    Action = "skipped"   // its condition is false
)

// Verdict is what becomes of one task, and why.
type Verdict struct {
	Task   string `json:"task"`
	Action Action `json:"action"`
	Why    string `json:"why,omitempty"`
}

// dryRun notes what units are asked to do, and what comes of their seeds.
type dryRun struct {
	why   map[string]string
	asked map[string]Ticket
	// skipped are the tasks that were, and why: a flow that has ended has none.
	skipped map[string]string
}

func (h *dryRun) note(path, why string, t *Ticket) { h.why[path], h.asked[path] = why, *t }

// startDryRun runs a program in memory as far as seeds lead.
func startDryRun(p *Program, c Create) *Run {
	r := New(p, c)
	r.resumed = true // also when all runs again
	r.dryRun = &dryRun{why: map[string]string{}, asked: map[string]Ticket{}, skipped: map[string]string{}}
	fx := r.Step(c.Now, 1, Event{Kind: event.Start})
	for n := uint64(2); fx.More; n++ {
		fx = r.Step(c.Now, n, Event{Kind: event.Continue})
	}
	return r
}

// Plan foretells what a run of a program with these seeds does, compared to an
// earlier run: a dry run, in which nothing that has to run again comes to an
// end. Tasks that cannot be known yet, as items of a list that is made anew,
// are told of by their job.
func Plan(old *Program, s Snapshot, p *Program, c Create) []Verdict {
	before := startDryRun(old, Create{
		ID: s.Run.ID, Inputs: inputsOf(s.Run.Inputs), SubmittedBy: s.Run.SubmittedBy,
		Labels: s.Run.Labels, Now: s.Run.Created, Seeds: Seeds(s, ""),
	})
	r := startDryRun(p, c)
	f := &planner{run: r, old: s.Tasks, oldProgram: old, before: before.dryRun, forced: map[string]bool{}}
	for path := range Seeds(s, "") {
		if _, left := c.Seeds[path]; !left {
			f.forced[path] = true
		}
	}
	if r.root != nil {
		f.scope(r.root)
	}
	f.removed(p)
	slices.SortStableFunc(f.out, func(a, b Verdict) int { return cmp.Compare(order(a.Action), order(b.Action)) })
	return f.out
}

func order(a Action) int {
	return slices.Index([]Action{ActionReuse, ActionSkip, ActionAgain, ActionNew, ActionRemoved}, a)
}

func inputsOf(raw []byte) map[string]any {
	m, ok := decode(raw).(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return m
}

// planner gathers the verdicts.
type planner struct {
	run        *Run
	old        map[string]run.Task
	oldProgram *Program
	before     *dryRun
	forced     map[string]bool
	out        []Verdict
}

func (f *planner) add(path string, a Action, why string) {
	f.out = append(f.out, Verdict{Task: path, Action: a, Why: why})
}

func (f *planner) scope(s *scope) {
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.iter == nil && n.iterated() && n.unit.rec.Reused {
			for k := range n.unit.rec.Items {
				f.below((&unit{node: n, index: k}).path())
			}
			continue
		}
		if n.iter != nil {
			for k, u := range n.iter.units {
				if u == nil {
					u = &unit{node: n, index: k}
				}
				f.unit(u)
			}
			continue
		}
		f.unit(&n.unit)
	}
}

// unit says what becomes of a unit, or of the tasks of its flow.
func (f *planner) unit(u *unit) {
	path := u.path()
	switch state := u.state(); {
	case u.sub != nil:
		f.scope(u.sub)
	case state == run.TaskSkipped || state == run.TaskBlocked:
		f.add(path, ActionSkip, u.rec.Reason)
	case u.rec.Reused || state == run.TaskCached:
		f.below(path)
	default:
		f.whyAgain(u, path)
	}
}

// below tells of a task that was taken over, or of those of its flow.
func (f *planner) below(path string) {
	found := false
	for _, other := range sortedPaths(f.old) {
		if why, is := f.run.dryRun.skipped[other]; is && strings.HasPrefix(other, path+"/") {
			f.add(other, ActionSkip, why)
			continue
		}
		if strings.HasPrefix(other, path+"/") && f.old[other].From+f.old[other].Digest != "" {
			found = true
			f.add(other, ActionReuse, "same job, same inputs")
		}
	}
	if !found {
		f.add(path, ActionReuse, "same job, same inputs")
	}
}

func sortedPaths(m map[string]run.Task) []string {
	out := make([]string, 0, len(m))
	for path := range m {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// whyAgain says why a unit runs again, or for the first time.
func (f *planner) whyAgain(u *unit, path string) {
	rec, there := f.old[path]
	why := f.run.dryRun.why[path]
	dep := rerunOrOpen(u)
	switch {
	case u.rec.Error != nil:
		f.add(path, ActionAgain, "fails: "+u.rec.Error.Message)
	case !there && f.oldProgram.find(path) == nil:
		f.add(path, ActionNew, "the definition did not have it")
	case f.forced[path]:
		f.add(path, ActionAgain, "asked for with --from")
	case there && rec.State.Final() && !rec.State.HasResult():
		f.add(path, ActionAgain, string(rec.State)+" before")
	case dep != "":
		f.add(path, ActionAgain, "depends on "+dep+", which runs again")
	case why == jobChanged:
		f.add(path, ActionAgain, why+f.jobKeys(u, path))
	case why == inputsChanged:
		f.add(path, ActionAgain, why+f.inputKeys(path))
	case !there:
		f.add(path, ActionAgain, "did not run before")
	default:
		f.add(path, ActionAgain, "its result is not there")
	}
}

// rerunOrOpen names a job on which the unit depends and which runs again.
func rerunOrOpen(u *unit) string {
	if dep := rerunDependency(u); dep != "" {
		return dep
	}
	for _, d := range u.node.step.deps {
		if other := &u.node.scope.nodes[d.job]; !other.state().Final() {
			return other.unit.path()
		}
	}
	return ""
}

// find returns the step of a task.
func (p *Program) find(path string) *step {
	pl := p.root
	var s *step
	for name := range strings.SplitSeq(path, "/") {
		name, _, _ = strings.Cut(name, "[")
		if pl == nil {
			return nil
		}
		at, ok := pl.index[name]
		if !ok {
			return nil
		}
		s = &pl.jobs[at]
		pl = s.sub
	}
	return s
}

// jobKeys names what differs in a job.
func (f *planner) jobKeys(u *unit, path string) string {
	old := f.oldProgram.find(path)
	if old == nil {
		return ""
	}
	return ": " + changedKeys(old.identity, u.node.step.identity)
}

// inputKeys names the inputs that differ.
func (f *planner) inputKeys(path string) string {
	was, ok := f.before.asked[path]
	now := f.run.dryRun.asked[path]
	switch {
	case !ok:
		return ""
	case !bytes.Equal(was.Inputs, now.Inputs):
		return ": " + changedKeys(was.Inputs, now.Inputs)
	case !bytes.Equal(was.Env, now.Env):
		return ": env"
	}
	return ""
}

// changedKeys names the keys in which two JSON objects differ.
func changedKeys(a, b json.RawMessage) string {
	var was, now map[string]json.RawMessage
	if json.Unmarshal(a, &was) != nil || json.Unmarshal(b, &now) != nil {
		return "value"
	}
	var keys []string
	for k, v := range was {
		if !bytes.Equal(v, now[k]) {
			keys = append(keys, k)
		}
	}
	for k := range now {
		if _, there := was[k]; !there {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

// removed tells of tasks whose job is there no more, or is no longer iterated.
func (f *planner) removed(p *Program) {
	for _, path := range sortedPaths(f.old) {
		if strings.Contains(path, "@") || f.old[path].Digest == "" || p.find(path) != nil {
			continue
		}
		f.add(path, ActionRemoved, "the definition has it no more")
	}
}

// HasJob reports whether a definition has a job of this path: jobs of nested
// flows are named behind the job that starts the flow, and a slash.
func HasJob(b *flow.Bundle, path string) bool {
	p, err := Compile(b, Limits{})
	return err == nil && p.find(path) != nil
}
