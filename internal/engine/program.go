package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/orchis-run/orchis/pkg/flow"
)

// Limits bounds what a run may do. Zero fields mean the defaults.
type Limits struct {
	// Window is the number of items of an iteration that are started ahead
	// when the job sets no parallelism; 256.
	Window int
	// InFlight is the number of tickets that a run may have at once, whatever
	// could run; 2,000. Of these, the first Ahead stand in the lane of their
	// job and the others one lane lower, so that a run with a few jobs need not
	// wait behind one with many; 100.
	InFlight, LaneQuota int
	// Budget is the number of task changes in one Step, give or take those
	// that one change entails at once; 1,000.
	Budget int
	// MaxTasks is the number of tasks of a run; 200,000.
	MaxTasks int
	// MaxInput and MaxResult bound the JSON of a task's inputs (256 KiB) and
	// of its result (64 KiB), in bytes. MaxOutputs bounds the outputs of a
	// flow (1 MiB).
	MaxInput, MaxResult, MaxOutputs int
	// ReleaseDelay is the first pause after a worker hands back a ticket
	// because it has no such handler, and MaxReleaseDelay the longest, in
	// milliseconds; 1,000 and 30,000.
	ReleaseDelay, MaxReleaseDelay int64
}

func (l Limits) withDefaults() Limits {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&l.Window, 256)
	set(&l.InFlight, 2000)
	set(&l.LaneQuota, 100)
	set(&l.Budget, 1000)
	set(&l.MaxTasks, 200_000)
	set(&l.MaxInput, 256<<10)
	set(&l.MaxResult, 64<<10)
	set(&l.MaxOutputs, 1<<20)
	if l.ReleaseDelay <= 0 {
		l.ReleaseDelay = 1000
	}
	if l.MaxReleaseDelay <= 0 {
		l.MaxReleaseDelay = 30_000
	}
	return l
}

// Program is a definition made ready for execution. It never changes, so all
// runs of the definition share it, also at the same time.
type Program struct {
	bundle *flow.Bundle
	limits Limits
	flows  map[string]*plan
	root   *plan
}

// plan is one flow with its edges turned into indexes.
type plan struct {
	def   *flow.Flow
	jobs  []step
	index map[string]int
	hooks []step
}

// step is one job of a plan.
type step struct {
	def        *flow.Job
	deps       []dep
	dependents []int
	// sub is the nested flow, nil for a handler's job.
	sub *plan
	// explicit says that the condition calls a status function, so that it
	// alone decides; failures says that it may hold after a failure, and
	// stopped that it may hold after a cancel.
	explicit, afterFailure, afterStop bool
	// hook is what follows when the job fails; on and recovers are those of a
	// hook itself.
	hook *step
	// identity says what the job is.
	identity json.RawMessage
	on       flow.HookOn
	recovers bool
}

type dep struct {
	job int
	on  flow.DepOn
	// implied edges come from a reference.
	implied bool
}

// Compile makes a definition ready for execution. Definitions that the loader
// accepted always compile; anything else (an unknown job, a cycle, a flow that
// is missing or calls itself) is an error.
func Compile(b *flow.Bundle, l Limits) (*Program, error) {
	p := &Program{bundle: b, limits: l.withDefaults(), flows: make(map[string]*plan, len(b.Flows))}
	keys := make([]string, 0, len(b.Flows))
	for key, f := range b.Flows {
		if f == nil {
			return nil, fmt.Errorf("compile flow %q: it is empty", key)
		}
		p.flows[key] = &plan{def: f, index: make(map[string]int, len(f.Jobs))}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := p.compileFlow(p.flows[key]); err != nil {
			return nil, fmt.Errorf("compile flow %q: %w", key, err)
		}
	}
	p.root = p.flows[b.Root]
	if p.root == nil {
		return nil, fmt.Errorf("compile: the definition has no flow %q", b.Root)
	}
	return p, p.checkNesting(keys)
}

func (p *Program) compileFlow(pl *plan) error {
	jobs := pl.def.Jobs
	for i := range jobs {
		if _, twice := pl.index[jobs[i].Name]; twice {
			return fmt.Errorf("job %q is there twice", jobs[i].Name)
		}
		pl.index[jobs[i].Name] = i
	}
	pl.jobs = make([]step, len(jobs))
	for i := range jobs {
		if err := p.compileJob(pl, i); err != nil {
			return fmt.Errorf("job %q: %w", jobs[i].Name, err)
		}
	}
	for i := range pl.def.Hooks {
		s, err := p.compileHook(&pl.def.Hooks[i], "")
		if err != nil {
			return err
		}
		pl.hooks = append(pl.hooks, *s)
	}
	return pl.checkCycles()
}

// compileHook makes a step of a hook: a job that starts the hook's flow.
func (p *Program) compileHook(h *flow.Hook, prefix string) (*step, error) {
	sub := p.flows[h.Flow]
	if sub == nil {
		return nil, fmt.Errorf("the definition has no hook %q", h.Flow)
	}
	def := &flow.Job{Name: prefix + "@" + string(h.On), Flow: h.Flow, Priority: sub.def.Priority}
	return &step{def: def, sub: sub, on: h.On, recovers: h.Recover}, nil
}

func (p *Program) compileJob(pl *plan, i int) error {
	def := &pl.def.Jobs[i]
	s := &pl.jobs[i]
	s.def = def
	s.identity = identityOf(def)
	switch {
	case def.Flow != "":
		if s.sub = p.flows[def.Flow]; s.sub == nil {
			return fmt.Errorf("the definition has no flow %q", def.Flow)
		}
	case def.Handler == "" && def.Approval == nil && def.WaitFor == nil && def.Delay == nil && def.Until == nil:
		return errors.New("it has neither a handler nor a flow")
	}
	if def.OnFailure != nil {
		var err error
		if s.hook, err = p.compileHook(def.OnFailure, def.Name); err != nil {
			return err
		}
	}
	for _, d := range def.Deps {
		at, ok := pl.index[d.Job]
		if !ok {
			return fmt.Errorf("it depends on the unknown job %q", d.Job)
		}
		s.deps = append(s.deps, dep{job: at, on: d.On, implied: d.Implied})
		pl.jobs[at].dependents = append(pl.jobs[at].dependents, i)
	}
	if def.If != nil {
		for _, f := range def.If.StatusFunctions() {
			s.explicit = true
			switch f {
			case "always", "cancelled":
				s.afterStop, s.afterFailure = true, true
			case "finished", "failure":
				s.afterFailure = true
			}
		}
	}
	return nil
}

// checkCycles works off the jobs in dependency order; what is left over waits
// for itself.
func (pl *plan) checkCycles() error {
	waiting := make([]int, len(pl.jobs))
	var ready []int
	for i := range pl.jobs {
		if waiting[i] = len(pl.jobs[i].deps); waiting[i] == 0 {
			ready = append(ready, i)
		}
	}
	done := 0
	for ; len(ready) > 0; done++ {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, d := range pl.jobs[i].dependents {
			if waiting[d]--; waiting[d] == 0 {
				ready = append(ready, d)
			}
		}
	}
	if done < len(pl.jobs) {
		return fmt.Errorf("%d jobs wait for each other", len(pl.jobs)-done)
	}
	return nil
}

// checkNesting refuses flows that call themselves, over however many others.
func (p *Program) checkNesting(keys []string) error {
	const inside, done = 1, 2
	marks := make(map[*plan]int, len(p.flows))
	var visit func(key string, pl *plan) error
	visit = func(key string, pl *plan) error {
		switch marks[pl] {
		case done:
			return nil
		case inside:
			return fmt.Errorf("compile: flow %q calls itself", key)
		}
		marks[pl] = inside
		steps := slices.Concat(pl.jobs, pl.hooks)
		for i := range pl.jobs {
			if h := pl.jobs[i].hook; h != nil {
				steps = append(steps, *h)
			}
		}
		for i := range steps {
			if sub := steps[i].sub; sub != nil {
				if err := visit(steps[i].def.Flow, sub); err != nil {
					return err
				}
			}
		}
		marks[pl] = done
		return nil
	}
	for _, key := range keys {
		if err := visit(key, p.flows[key]); err != nil {
			return err
		}
	}
	return nil
}

// environment is what expressions see as env: the job's own, over what the
// installation has for all.
func (p *Program) environment(own map[string]any) map[string]any {
	if len(p.bundle.Env) == 0 {
		return nonNil(own)
	}
	all := make(map[string]any, len(p.bundle.Env)+len(own))
	for name, value := range p.bundle.Env {
		all[name] = value
	}
	maps.Copy(all, own)
	return all
}
